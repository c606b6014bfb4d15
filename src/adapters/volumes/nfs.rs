//! Mounts NFS exports with the system's mount helper, which resolves names and negotiates versions.

use std::ffi::OsString;
use std::io;
use std::path::Path;
use std::time::Duration;

use super::tool;

/// How long a server may take to respond before the mount is aborted and retried later.
const PATIENCE: Duration = Duration::from_secs(120);

/// Mounts `server:path` at `target`.
pub async fn mount(server: &str, path: &str, options: &[String], read_only: bool, target: &Path) -> io::Result<()> {
    let server =
        if server.contains(':') && !server.starts_with('[') { format!("[{server}]") } else { server.to_owned() };
    let mut all: Vec<&str> = options.iter().map(String::as_str).collect();
    if read_only {
        all.push("ro");
    }
    let mut arguments: Vec<OsString> = vec!["-t".into(), "nfs".into()];
    if !all.is_empty() {
        arguments.extend(["-o".into(), all.join(",").into()]);
    }
    arguments.extend(["--".into(), format!("{server}:{path}").into(), target.into()]);
    let output = tool::run("mount", arguments, PATIENCE).await?;
    if output.status.success() { Ok(()) } else { Err(tool::failure("mount", &output)) }
}
