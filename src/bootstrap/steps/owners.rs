//! Folders that belong to a service's user.

use std::path::Path;

use crate::bootstrap::error::StepError;
use crate::bootstrap::ports::Ports;
use crate::ports::bootstrap::Owner;

/// The node's local users; a directory service never adds ours.
const USERS: &str = "/etc/passwd";

/// True if the folder and everything in it belong to the user.
pub fn is_owned(ports: &Ports, path: &Path, user: &str) -> Result<bool, StepError> {
    let text = ports.files.read(Path::new(USERS))?.unwrap_or_default();
    match find(&text, user) {
        Some(owner) => Ok(ports.files.belongs_to(path, owner)?),
        None => Ok(false),
    }
}

/// Changes the owner of the folder and everything in it.
pub fn own(ports: &Ports, path: &Path, user: &str) -> Result<(), StepError> {
    let text = ports.files.read(Path::new(USERS))?.unwrap_or_default();
    let owner = find(&text, user).ok_or_else(|| StepError::NoUser { user: user.to_owned() })?;
    Ok(ports.files.give_to(path, owner)?)
}

/// Finds a user in the format `name:password:uid:gid:…` (passwd(5)).
fn find(text: &str, user: &str) -> Option<Owner> {
    if user == "root" {
        return Some(Owner { user: 0, group: 0 });
    }
    let mut fields = text.lines().map(|line| line.split(':')).find(|fields| fields.clone().next() == Some(user))?;
    Some(Owner { user: fields.nth(2)?.parse().ok()?, group: fields.next()?.parse().ok()? })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_user_is_found_by_its_whole_name() {
        let text = "root:x:0:0::/root:/bin/sh\nroost-etcd2:x:1:2::/:/x\nroost-etcd:x:998:997::/:/usr/sbin/nologin\n";
        assert_eq!(find(text, "roost-etcd"), Some(Owner { user: 998, group: 997 }));
        assert_eq!(find(text, "roost"), None);
        assert_eq!(find("", "root"), Some(Owner { user: 0, group: 0 }));
        assert_eq!(find("roost-etcd:x:many:1", "roost-etcd"), None);
    }
}
