//! Blobs of an image, in memory or in an archive, and the JSON documents that link them.

use std::collections::HashMap;

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

pub const MEDIA_MANIFEST: &str = "application/vnd.oci.image.manifest.v1+json";
pub const MEDIA_INDEX: &str = "application/vnd.oci.image.index.v1+json";
pub const MEDIA_CONFIG: &str = "application/vnd.oci.image.config.v1+json";
pub const MEDIA_LAYER: &str = "application/vnd.oci.image.layer.v1.tar";
pub const MEDIA_LAYER_GZIP: &str = "application/vnd.oci.image.layer.v1.tar+gzip";
pub const MEDIA_DOCKER_LIST: &str = "application/vnd.docker.distribution.manifest.list.v2+json";

/// An OCI descriptor (image-spec, descriptor.md).
#[derive(Clone, Debug, Default, Deserialize, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Descriptor {
    #[serde(default)]
    pub media_type: String,
    pub digest: String,
    pub size: u64,
    #[serde(default, skip_serializing_if = "HashMap::is_empty")]
    pub annotations: HashMap<String, String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub platform: Option<Platform>,
}

#[derive(Clone, Debug, Default, Deserialize, Serialize)]
pub struct Platform {
    pub architecture: String,
    pub os: String,
}

#[derive(Debug, Deserialize, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Manifest {
    pub schema_version: u32,
    pub media_type: Option<String>,
    pub config: Descriptor,
    pub layers: Vec<Descriptor>,
}

#[derive(Debug, Deserialize)]
pub struct Index {
    pub manifests: Vec<Descriptor>,
}

/// Location of a blob's bytes.
#[derive(Clone, Debug)]
pub enum Source {
    Memory(Vec<u8>),
    /// Offset in the archive; the length is the blob's size.
    Archive(u64),
}

/// A blob to store.
#[derive(Clone, Debug)]
pub struct Blob {
    pub digest: String,
    pub size: u64,
    pub source: Source,
    /// Labels that keep what this blob refers to from being collected.
    pub labels: HashMap<String, String>,
}

impl Blob {
    pub fn of(bytes: Vec<u8>) -> Self {
        let digest = digest_of(&bytes);
        Self { digest, size: bytes.len() as u64, source: Source::Memory(bytes), labels: HashMap::new() }
    }

    pub fn descriptor(&self, media_type: &str) -> Descriptor {
        Descriptor {
            media_type: media_type.into(),
            digest: self.digest.clone(),
            size: self.size,
            ..Descriptor::default()
        }
    }
}

/// One image with all its blobs, referenced ones first.
#[derive(Clone, Debug)]
pub struct Image {
    pub names: Vec<String>,
    pub target: Descriptor,
    pub blobs: Vec<Blob>,
}

pub fn digest_of(bytes: &[u8]) -> String {
    hex_digest(Sha256::new_with_prefix(bytes))
}

pub fn hex_digest(hash: Sha256) -> String {
    hash.finalize().iter().fold(String::from("sha256:"), |text, byte| text + &format!("{byte:02x}"))
}

/// A manifest's blob, with the labels that link config and layers to it (containerd, docs/garbage-collection.md).
pub fn manifest_blob(bytes: Vec<u8>, manifest: &Manifest) -> Blob {
    let mut blob = Blob::of(bytes);
    blob.labels.insert("containerd.io/gc.ref.content.config".into(), manifest.config.digest.clone());
    for (i, layer) in manifest.layers.iter().enumerate() {
        blob.labels.insert(format!("containerd.io/gc.ref.content.l.{i}"), layer.digest.clone());
    }
    blob
}

/// The empty image: a config and a manifest without layers.
pub fn scratch(name: &str) -> Image {
    image(name, serde_json::json!({}), None)
}

/// The image of one static program, at `/NAME` and run as nobody: a sandbox image.
pub fn single(name: &str, program: &str, bytes: &[u8]) -> std::io::Result<Image> {
    let mut layer = tar::Builder::new(Vec::new());
    let mut header = tar::Header::new_ustar();
    header.set_size(bytes.len() as u64);
    header.set_mode(0o755);
    // No modification time: equal programs give equal images.
    header.set_mtime(0);
    layer.append_data(&mut header, program, bytes)?;
    let config = serde_json::json!({ "Entrypoint": [format!("/{program}")], "User": "65535:65535" });
    Ok(image(name, config, Some(Blob::of(layer.into_inner()?))))
}

fn image(name: &str, config: serde_json::Value, layer: Option<Blob>) -> Image {
    // For an uncompressed layer, the digest is the diff id.
    let layers: Vec<&String> = layer.iter().map(|layer| &layer.digest).collect();
    let config = Blob::of(
        serde_json::json!({
            "architecture": architecture(),
            "os": "linux",
            "config": config,
            "rootfs": { "type": "layers", "diff_ids": layers }
        })
        .to_string()
        .into_bytes(),
    );
    let manifest = Manifest {
        schema_version: 2,
        media_type: Some(MEDIA_MANIFEST.into()),
        config: config.descriptor(MEDIA_CONFIG),
        layers: layer.iter().map(|layer| layer.descriptor(MEDIA_LAYER)).collect(),
    };
    let blob = manifest_blob(serde_json::json!(manifest).to_string().into_bytes(), &manifest);
    let target = blob.descriptor(MEDIA_MANIFEST);
    Image { names: vec![name.into()], target, blobs: layer.into_iter().chain([config, blob]).collect() }
}

/// This machine's architecture by its OCI name.
pub fn architecture() -> &'static str {
    match std::env::consts::ARCH {
        "x86_64" => "amd64",
        "aarch64" => "arm64",
        other => other,
    }
}
