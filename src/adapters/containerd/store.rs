//! Writes blobs and image records to containerd's stores, in the namespace of CRI.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use containerd_client::services::v1 as api;
use containerd_client::tonic::{self, Code, Request, Status};
use containerd_client::types;

use super::archive::Archive;
use super::blob::{self, Blob, Descriptor, Image, Source};
use crate::core::model::time::Moment;
use crate::ports::bootstrap::{ImageStore, ImageStoreError};

pub const NAMESPACE: &str = "k8s.io";
/// Label of images that CRI manages (containerd, internal/cri/labels).
const MANAGED: (&str, &str) = ("io.cri-containerd.image", "managed");
/// Label of images that are not garbage-collected (since containerd 1.7; ignored by older versions).
const PINNED: (&str, &str) = ("io.cri-containerd.pinned", "pinned");
const CHUNK: usize = 1 << 20;

/// Images of the containerd behind a socket.
#[derive(Clone, Debug)]
pub struct ContainerdImages {
    socket: PathBuf,
}

/// One connection, with a lease that protects new blobs until their image refers to them.
struct Session {
    client: containerd_client::Client,
    lease: Option<String>,
}

impl Session {
    fn request<T>(&self, message: T) -> Request<T> {
        let mut request = Request::new(message);
        let headers = request.metadata_mut();
        headers.insert("containerd-namespace", tonic::metadata::MetadataValue::from_static(NAMESPACE));
        if let Some(lease) = self.lease.as_ref().and_then(|l| l.parse().ok()) {
            headers.insert("containerd-lease", lease);
        }
        request
    }

    async fn has(&self, digest: &str) -> bool {
        let request = self.request(api::InfoRequest { digest: digest.into() });
        self.client.content().info(request).await.is_ok()
    }

    async fn write(&self, blob: &Blob, archive: Option<&Arc<Archive>>) -> Result<(), Status> {
        if self.has(&blob.digest).await {
            return Ok(());
        }
        let total = i64::try_from(blob.size).unwrap_or(i64::MAX);
        let (send, receive) = tokio::sync::mpsc::channel(4);
        let (digest, labels) = (blob.digest.clone(), blob.labels.clone());
        let (source, size, archive) = (blob.source.clone(), blob.size, archive.cloned());
        let feed = tokio::task::spawn_blocking(move || {
            let mut offset = 0u64;
            let header = |action: api::WriteAction, offset: u64, data: Vec<u8>| api::WriteContentRequest {
                action: action.into(),
                r#ref: format!("roost-{digest}"),
                total,
                expected: digest.clone(),
                offset: i64::try_from(offset).unwrap_or(i64::MAX),
                data,
                labels: labels.clone(),
            };
            while offset < size {
                let part = usize::try_from(size.saturating_sub(offset)).unwrap_or(CHUNK).min(CHUNK);
                let data = match &source {
                    Source::Memory(bytes) => {
                        let rest = usize::try_from(offset).ok().and_then(|offset| bytes.get(offset..));
                        let data = rest.and_then(|rest| rest.get(..part));
                        data.ok_or_else(|| std::io::Error::other("a blob is shorter than its declared size"))?.to_vec()
                    }
                    Source::Archive(at) => {
                        let mut data = vec![0; part];
                        archive
                            .as_ref()
                            .ok_or_else(|| std::io::Error::other("a blob of an archive without the archive"))?
                            .read_at(at.saturating_add(offset), &mut data)?;
                        data
                    }
                };
                if send.blocking_send(header(api::WriteAction::Write, offset, data)).is_err() {
                    return Ok(());
                }
                offset = offset.saturating_add(part as u64);
            }
            let _ = send.blocking_send(header(api::WriteAction::Commit, size, Vec::new()));
            Ok::<(), std::io::Error>(())
        });
        let request = self.request(tokio_stream::wrappers::ReceiverStream::new(receive));
        let written = async {
            let mut answers = self.client.content().write(request).await?.into_inner();
            while answers.message().await?.is_some() {}
            Ok::<(), Status>(())
        };
        let written = written.await;
        feed.await.map_err(|e| Status::internal(e.to_string()))?.map_err(|e| Status::data_loss(e.to_string()))?;
        match written {
            Err(status) if status.code() == Code::AlreadyExists => Ok(()),
            other => other,
        }
    }

    /// Creates the image record, or changes the target of an existing one.
    async fn record(&self, name: &str, target: &Descriptor) -> Result<(), Status> {
        let image = api::Image {
            name: name.into(),
            labels: HashMap::from([(MANAGED.0.into(), MANAGED.1.into())]),
            target: Some(types::Descriptor {
                media_type: target.media_type.clone(),
                digest: target.digest.clone(),
                size: i64::try_from(target.size).unwrap_or(i64::MAX),
                ..types::Descriptor::default()
            }),
            ..api::Image::default()
        };
        let create = api::CreateImageRequest { image: Some(image.clone()), ..Default::default() };
        match self.client.images().create(self.request(create)).await {
            Err(status) if status.code() == Code::AlreadyExists => {
                let mask = Some(prost_types::FieldMask { paths: vec!["target".into()] });
                let update = api::UpdateImageRequest { image: Some(image), update_mask: mask, ..Default::default() };
                self.client.images().update(self.request(update)).await.map(drop)
            }
            other => other.map(drop),
        }
    }

    async fn store(&self, image: &Image, archive: Option<&Arc<Archive>>) -> Result<(), Status> {
        for blob in &image.blobs {
            self.write(blob, archive).await?;
        }
        for name in &image.names {
            self.record(name, &image.target).await?;
        }
        Ok(())
    }
}

impl ContainerdImages {
    /// The images of the containerd at this socket; no connection is opened yet.
    pub fn new(socket: &Path) -> Self {
        Self { socket: socket.to_path_buf() }
    }

    async fn session(&self, lease: bool) -> Result<Session, ImageStoreError> {
        let unavailable =
            |message: String| ImageStoreError::Unavailable { socket: self.socket.display().to_string(), message };
        let client =
            containerd_client::Client::from_path(&self.socket).await.map_err(|error| unavailable(error.to_string()))?;
        let mut session = Session { client, lease: None };
        if lease {
            let id = format!("roost-{:016x}", rand::random::<u64>());
            // containerd deletes it after an hour, if this process exits before it does so itself.
            let expires = jiff::Timestamp::now().later(Duration::from_secs(3600));
            let labels = HashMap::from([("containerd.io/gc.expire".to_owned(), expires.to_string())]);
            let request = session.request(api::CreateRequest { id: id.clone(), labels });
            session.client.leases().create(request).await.map_err(|status| unavailable(status.message().into()))?;
            session.lease = Some(id);
        }
        Ok(session)
    }

    async fn end(session: Session) {
        if let Some(id) = session.lease.clone() {
            let request = session.request(api::DeleteRequest { id, sync: false });
            // The lease expires by itself.
            let _ = session.client.leases().delete(request).await;
        }
    }
}

#[async_trait]
impl ImageStore for ContainerdImages {
    async fn names(&self) -> Result<Vec<String>, ImageStoreError> {
        let session = self.session(false).await?;
        let list = session.client.images().list(session.request(api::ListImagesRequest::default())).await;
        let list = list.map_err(|status| ImageStoreError::Unavailable {
            socket: self.socket.display().to_string(),
            message: status.message().into(),
        })?;
        Ok(list.into_inner().images.into_iter().map(|image| image.name).collect())
    }

    async fn import(&self, path: &Path) -> Result<Vec<String>, ImageStoreError> {
        let fault = |message: String| ImageStoreError::Archive { path: path.display().to_string(), message };
        let owned = path.to_path_buf();
        let opened = tokio::task::spawn_blocking(move || {
            let mut archive = Archive::open(&owned)?;
            let images = archive.images()?;
            Ok::<_, std::io::Error>((Arc::new(archive), images))
        });
        let (archive, images) = opened.await.map_err(|e| fault(e.to_string()))?.map_err(|e| fault(e.to_string()))?;
        let session = self.session(true).await?;
        let mut names = Vec::new();
        let mut result = Ok(());
        for image in &images {
            result = session.store(image, Some(&archive)).await.map_err(|status| ImageStoreError::Refused {
                image: image.names.first().cloned().unwrap_or_default(),
                message: status.message().into(),
            });
            if result.is_err() {
                break;
            }
            names.extend(image.names.iter().cloned());
        }
        Self::end(session).await;
        result.map(|()| names)
    }

    async fn make_scratch(&self, name: &str) -> Result<(), ImageStoreError> {
        let session = self.session(true).await?;
        let result = session.store(&blob::scratch(name), None).await;
        Self::end(session).await;
        result.map_err(|status| ImageStoreError::Refused { image: name.into(), message: status.message().into() })
    }

    async fn make_single(&self, name: &str, program: &Path) -> Result<(), ImageStoreError> {
        let refused = |message: String| ImageStoreError::Refused { image: name.into(), message };
        let unreadable = |error: std::io::Error| refused(format!("{}: {error}", program.display()));
        let bytes = tokio::fs::read(program).await.map_err(unreadable)?;
        let file = program.file_name().map_or_else(|| "program".into(), |file| file.to_string_lossy());
        let image = blob::single(name, &file, &bytes).map_err(unreadable)?;
        let session = self.session(true).await?;
        let result = session.store(&image, None).await;
        Self::end(session).await;
        result.map_err(|status| refused(status.message().into()))
    }

    async fn pin(&self, name: &str) -> Result<bool, ImageStoreError> {
        let refused =
            |status: Status| ImageStoreError::Refused { image: name.into(), message: status.message().into() };
        let session = self.session(false).await?;
        let request = session.request(api::GetImageRequest { name: name.into() });
        let image = session.client.images().get(request).await.map_err(refused)?.into_inner().image;
        let mut image = image.unwrap_or_default();
        if image.labels.get(PINNED.0).is_some_and(|value| value == PINNED.1) {
            return Ok(false);
        }
        image.labels.insert(PINNED.0.into(), PINNED.1.into());
        let mask = Some(prost_types::FieldMask { paths: vec![format!("labels.{}", PINNED.0)] });
        let update = api::UpdateImageRequest { image: Some(image), update_mask: mask, ..Default::default() };
        session.client.images().update(session.request(update)).await.map_err(refused)?;
        Ok(true)
    }
}
