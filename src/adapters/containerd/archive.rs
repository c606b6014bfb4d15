//! Reads OCI layouts and docker archives (`docker save`) without unpacking them: blobs are read from the archive file.

#![expect(clippy::disallowed_methods, reason = "for programs that end")]

use std::collections::HashMap;
use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom};
use std::path::Path;

use serde::Deserialize;
use serde::de::DeserializeOwned;
use sha2::{Digest, Sha256};

use super::blob::{
    Blob, Descriptor, Image, Index, MEDIA_CONFIG, MEDIA_DOCKER_LIST, MEDIA_INDEX, MEDIA_LAYER, MEDIA_LAYER_GZIP,
    MEDIA_MANIFEST, Manifest, Source, architecture, hex_digest, manifest_blob,
};

/// Largest JSON document of an image that is read, in bytes.
const MAX_DOCUMENT: u64 = 8 * 1024 * 1024;
/// Deepest nesting of indexes that is followed.
const MAX_DEPTH: u32 = 4;

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct DockerImage {
    config: String,
    #[serde(default)]
    repo_tags: Option<Vec<String>>,
    layers: Vec<String>,
}

/// An open archive with the position of each file in it.
pub struct Archive {
    file: File,
    /// Path → offset and length.
    entries: HashMap<String, (u64, u64)>,
}

fn fault(text: impl Into<String>) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, text.into())
}

impl Archive {
    /// Opens a plain tar file and indexes its files.
    pub fn open(path: &Path) -> io::Result<Self> {
        let mut file = File::open(path)?;
        let mut magic = [0; 2];
        file.read_exact(&mut magic).map_err(|_| fault("is empty"))?;
        if magic == [0x1f, 0x8b] {
            return Err(fault("is compressed: unpack it first with gunzip"));
        }
        file.seek(SeekFrom::Start(0))?;
        let mut entries = HashMap::new();
        let mut tar = tar::Archive::new(&file);
        for entry in tar.entries()? {
            let entry = entry?;
            if entry.header().entry_type().is_file() {
                let name = entry.path()?.to_string_lossy().trim_start_matches("./").to_owned();
                entries.insert(name, (entry.raw_file_position(), entry.size()));
            }
        }
        Ok(Self { file, entries })
    }

    /// The images in the archive.
    pub fn images(&mut self) -> io::Result<Vec<Image>> {
        if self.entries.contains_key("index.json") {
            let index: Index = self.document("index.json")?;
            let mut images = Vec::new();
            for descriptor in index.manifests {
                if let Some(name) = name_of(&descriptor) {
                    images.push(self.oci(&name, &descriptor)?);
                }
            }
            if images.is_empty() {
                return Err(fault("names no image: its index has no io.containerd.image.name annotation"));
            }
            return Ok(images);
        }
        if self.entries.contains_key("manifest.json") {
            let list: Vec<DockerImage> = self.document("manifest.json")?;
            return list.into_iter().map(|image| self.docker(image)).collect();
        }
        Err(fault("is not an image archive: it has neither index.json nor manifest.json"))
    }

    /// Reads a range of a blob.
    pub fn read_at(&self, offset: u64, into: &mut [u8]) -> io::Result<()> {
        use std::os::unix::fs::FileExt;
        self.file.read_exact_at(into, offset)
    }

    fn find(&self, name: &str) -> io::Result<(u64, u64)> {
        self.entries.get(name).copied().ok_or_else(|| fault(format!("is cut short: {name} is missing")))
    }

    fn bytes(&mut self, name: &str) -> io::Result<Vec<u8>> {
        let (offset, size) = self.find(name)?;
        if size > MAX_DOCUMENT {
            return Err(fault(format!("{name} is too large for a document ({size} bytes)")));
        }
        let mut bytes = vec![0; usize::try_from(size).map_err(|_| fault("is too large"))?];
        self.read_at(offset, &mut bytes)?;
        Ok(bytes)
    }

    fn document<T: DeserializeOwned>(&mut self, name: &str) -> io::Result<T> {
        let bytes = self.bytes(name)?;
        serde_json::from_slice(&bytes).map_err(|error| fault(format!("{name}: {error}")))
    }

    fn oci(&mut self, name: &str, descriptor: &Descriptor) -> io::Result<Image> {
        let mut target = descriptor.clone();
        for _ in 0..MAX_DEPTH {
            if target.media_type != MEDIA_INDEX && target.media_type != MEDIA_DOCKER_LIST {
                return self.oci_manifest(name, target);
            }
            let index: Index = self.document(&blob_path(&target.digest)?)?;
            let ours = |d: &&Descriptor| d.platform.as_ref().is_some_and(|p| p.architecture == architecture());
            target = index
                .manifests
                .iter()
                .find(ours)
                .or(index.manifests.first())
                .cloned()
                .ok_or_else(|| fault(format!("{name} has no image for {}", architecture())))?;
        }
        Err(fault(format!("{name}: its indexes are nested too deep")))
    }

    fn oci_manifest(&mut self, name: &str, target: Descriptor) -> io::Result<Image> {
        let bytes = self.bytes(&blob_path(&target.digest)?)?;
        let manifest: Manifest =
            serde_json::from_slice(&bytes).map_err(|error| fault(format!("manifest of {name}: {error}")))?;
        let mut blobs = Vec::new();
        for part in manifest.layers.iter().chain([&manifest.config]) {
            let (offset, size) = self.find(&blob_path(&part.digest)?)?;
            blobs.push(Blob {
                digest: part.digest.clone(),
                size,
                source: Source::Archive(offset),
                labels: HashMap::new(),
            });
        }
        let blob = manifest_blob(bytes, &manifest);
        let media = manifest.media_type.as_deref().unwrap_or(MEDIA_MANIFEST);
        let target = Descriptor { digest: blob.digest.clone(), size: blob.size, ..blob.descriptor(media) };
        blobs.push(blob);
        Ok(Image { names: vec![name.into()], target, blobs })
    }

    fn docker(&mut self, image: DockerImage) -> io::Result<Image> {
        let mut blobs = Vec::new();
        let mut layers = Vec::new();
        for path in &image.layers {
            let (offset, size) = self.find(path)?;
            let mut magic = [0; 2];
            if size >= 2 {
                self.read_at(offset, &mut magic)?;
            }
            let media = if magic == [0x1f, 0x8b] { MEDIA_LAYER_GZIP } else { MEDIA_LAYER };
            let digest = self.digest(offset, size)?;
            let blob = Blob { digest, size, source: Source::Archive(offset), labels: HashMap::new() };
            layers.push(blob.descriptor(media));
            blobs.push(blob);
        }
        let config = Blob::of(self.bytes(&image.config)?);
        let manifest = Manifest {
            schema_version: 2,
            media_type: Some(MEDIA_MANIFEST.into()),
            config: config.descriptor(MEDIA_CONFIG),
            layers,
        };
        let blob = manifest_blob(serde_json::json!(manifest).to_string().into_bytes(), &manifest);
        let target = blob.descriptor(MEDIA_MANIFEST);
        blobs.extend([config, blob]);
        let names = image.repo_tags.unwrap_or_default().iter().map(|tag| full_name(tag)).collect();
        Ok(Image { names, target, blobs })
    }

    fn digest(&self, mut offset: u64, mut size: u64) -> io::Result<String> {
        let mut hash = Sha256::new();
        let mut buffer = vec![0; 1 << 20];
        while size > 0 {
            buffer.truncate(usize::try_from(size).unwrap_or(usize::MAX));
            self.read_at(offset, &mut buffer)?;
            hash.update(&buffer);
            offset = offset.saturating_add(buffer.len() as u64);
            size = size.saturating_sub(buffer.len() as u64);
        }
        Ok(hex_digest(hash))
    }
}

fn blob_path(digest: &str) -> io::Result<String> {
    match digest.split_once(':') {
        Some(("sha256", hex)) if hex.len() == 64 && hex.bytes().all(|b| b.is_ascii_hexdigit()) => {
            Ok(format!("blobs/sha256/{hex}"))
        }
        _ => Err(fault(format!("{digest:?} is not a sha256 digest"))),
    }
}

/// The full name that an OCI layout gives an image (containerd's annotation, else a full reference in the OCI
/// annotation).
fn name_of(descriptor: &Descriptor) -> Option<String> {
    let given = |key: &str| descriptor.annotations.get(key).filter(|name| name.contains(['/', ':'])).cloned();
    given("io.containerd.image.name").or_else(|| given("org.opencontainers.image.ref.name").map(|n| full_name(&n)))
}

/// A name with registry, completed as docker does: `busybox:1` is `docker.io/library/busybox:1`.
fn full_name(name: &str) -> String {
    match name.split_once('/') {
        None => format!("docker.io/library/{name}"),
        Some((first, _)) if first.contains(['.', ':']) || first == "localhost" => name.into(),
        Some(_) => format!("docker.io/{name}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tar_of(files: &[(&str, &[u8])]) -> tempfile::NamedTempFile {
        let file = tempfile::NamedTempFile::new().expect("a file");
        let mut tar = tar::Builder::new(file.reopen().expect("a second handle"));
        for (name, bytes) in files {
            let mut header = tar::Header::new_gnu();
            header.set_size(bytes.len() as u64);
            header.set_mode(0o644);
            tar.append_data(&mut header, name, *bytes).expect("appended");
        }
        tar.finish().expect("finished");
        file
    }

    fn images(files: &[(&str, &[u8])]) -> io::Result<Vec<Image>> {
        let file = tar_of(files);
        Archive::open(file.path())?.images()
    }

    #[test]
    fn a_docker_archive_becomes_a_manifest_over_its_layers() {
        let list =
            br#"[{"Config":"c.json","RepoTags":["registry.k8s.io/pause:3","busybox:1"],"Layers":["a/layer.tar"]}]"#;
        let found = images(&[("manifest.json", list), ("c.json", b"{}"), ("a/layer.tar", b"not really a tar")]);
        let found = found.expect("images");
        assert_eq!(found[0].names, ["registry.k8s.io/pause:3", "docker.io/library/busybox:1"]);
        assert_eq!(found[0].blobs.len(), 3);
        assert_eq!(found[0].blobs[2].labels.len(), 2);
    }

    #[test]
    fn an_archive_that_is_cut_short_says_what_is_missing() {
        let list = br#"[{"Config":"c.json","RepoTags":["a/b:1"],"Layers":["layer.tar"]}]"#;
        let error = images(&[("manifest.json", list), ("c.json", b"{}")]).expect_err("cut short");
        assert!(error.to_string().contains("layer.tar is missing"), "{error}");
        let error = images(&[("readme", b"hello")]).expect_err("no images");
        assert!(error.to_string().contains("not an image archive"), "{error}");
    }

    #[test]
    fn digests_cannot_lead_out_of_the_archive() {
        let index = br#"{"manifests":[{"digest":"sha256:../../etc/passwd","size":1,"mediaType":"x",
            "annotations":{"io.containerd.image.name":"a/b:1"}}]}"#;
        let error = images(&[("index.json", index)]).expect_err("a path");
        assert!(error.to_string().contains("not a sha256 digest"), "{error}");
    }
}
