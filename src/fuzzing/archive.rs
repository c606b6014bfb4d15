//! Image archives in files: OCI layouts and the output of `docker save`.

use super::input::MemoryFile;
use crate::adapters::containerd::archive::Archive;
use crate::adapters::containerd::blob::Source;

/// A tar file whose checksums are corrected: blobs are inside the file, and the result is not larger than the file
/// allows.
pub(super) fn archive(input: &[u8]) {
    let content = with_checksums(input);
    let file = MemoryFile::new(&content);
    let Ok(mut archive) = Archive::open(&file.path()) else { return };
    let images = archive.images();
    let again = archive.images();
    assert_eq!(images.is_ok(), again.is_ok());
    let (Ok(images), Ok(again)) = (images, again) else { return };
    assert_eq!(images.len(), again.len());
    let (mut documents, mut blobs) = (0, 0);
    for (image, same) in images.iter().zip(&again) {
        assert_eq!(image.names, same.names);
        assert_eq!(image.target.digest, same.target.digest);
        for blob in &image.blobs {
            blobs += 1;
            match &blob.source {
                Source::Memory(bytes) => {
                    documents += bytes.len();
                    assert_eq!(bytes.len() as u64, blob.size);
                }
                Source::Archive(offset) => {
                    let end = offset.checked_add(blob.size).expect("an end");
                    assert!(end <= content.len() as u64, "a blob that ends at {end} of {}", content.len());
                    let mut start = [0; 8];
                    let length = start.len().min(usize::try_from(blob.size).expect("small"));
                    archive.read_at(*offset, &mut start[..length]).expect("read");
                }
            }
        }
    }
    // Images may share documents, so the limit is one document for each image.
    assert!(documents <= content.len() * (images.len() + 1) * 4 && blobs <= content.len() * 2);
}

/// Corrects the checksum of each block that claims to be a header, which random input would not hit.
fn with_checksums(input: &[u8]) -> Vec<u8> {
    let mut content = input.to_vec();
    for block in content.chunks_exact_mut(512).filter(|block| &block[257..262] == b"ustar") {
        block[148..156].fill(b' ');
        let sum: u32 = block.iter().map(|byte| u32::from(*byte)).sum();
        block[148..156].copy_from_slice(format!("{sum:06o}\0 ").as_bytes());
    }
    content
}
