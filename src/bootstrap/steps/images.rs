//! Images in the runtime's store.

use std::path::PathBuf;

use crate::bootstrap::error::StepError;
use crate::bootstrap::ports::Ports;
use crate::core::bootstrap::step::ImageOrigin;
use crate::core::model::StepOutcome;
use crate::cri;

/// True if the runtime has the image; whether it is pinned shows only when it is pinned.
pub async fn is_met(ports: &Ports, image: &str) -> Result<bool, StepError> {
    Ok(ports.images.names().await?.iter().any(|name| name == image))
}

/// Brings the image into the store, and pins it if that is wanted.
pub async fn apply(ports: &Ports, image: &str, from: &ImageOrigin, pinned: bool) -> Result<StepOutcome, StepError> {
    let mut changed = false;
    if !is_met(ports, image).await? {
        match from {
            ImageOrigin::Registry => pull(ports, image).await?,
            ImageOrigin::Archives(archives) => import(ports, image, archives).await?,
            ImageOrigin::Program(program) => ports.images.make_single(image, program).await?,
            ImageOrigin::Scratch => ports.images.make_scratch(image).await?,
        }
        changed = true;
    }
    if pinned {
        changed |= ports.images.pin(image).await?;
    }
    Ok(if changed { StepOutcome::Changed } else { StepOutcome::Unchanged })
}

async fn pull(ports: &Ports, image: &str) -> Result<(), StepError> {
    let name = cri::ImageSpec { image: image.to_owned(), ..cri::ImageSpec::default() };
    let pulled = ports.pulls.pull_image(&name, None, None).await;
    pulled.map(drop).map_err(|source| StepError::Pull { image: image.to_owned(), source })
}

async fn import(ports: &Ports, image: &str, places: &[PathBuf]) -> Result<(), StepError> {
    let mut archives = Vec::new();
    for place in places {
        if ports.files.info(place)?.is_some_and(|info| info.is_dir) {
            archives.extend(
                ports.files.list(place)?.into_iter().filter(|path| path.extension().is_some_and(|end| end == "tar")),
            );
        } else {
            archives.push(place.clone());
        }
    }
    // Most archives are named after the image in them: search these first.
    let name = image.rsplit('/').next().and_then(|name| name.split(':').next()).unwrap_or(image);
    archives.sort_by_key(|path| !path.file_name().is_some_and(|file| file.to_string_lossy().contains(name)));
    for archive in &archives {
        if ports.images.import(archive).await?.iter().any(|imported| imported == image) {
            return Ok(());
        }
    }
    let looked = places.iter().map(|place| place.display().to_string()).collect::<Vec<_>>().join(", ");
    Err(StepError::NotInArchives { image: image.to_owned(), looked })
}
