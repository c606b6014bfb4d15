//! etcd membership: how a control plane joins (as a learner first, one learner at a time) and what a member list means.

use crate::core::model::spec::{Endpoint, Spec};

/// The URL at which other members reach this node's etcd.
pub fn peer_url(spec: &Spec) -> String {
    Endpoint::new(spec.node.address, 2380).url()
}

/// The members in a manifest or unit of etcd, as written when it joined an existing cluster. etcd reads them only at
/// its first start, so they stay as they are.
pub fn joined_members(manifest: &str) -> Option<Vec<(String, String)>> {
    let word = |line: &'_ str| line.trim().trim_start_matches("- ").trim_end_matches(" \\").to_owned();
    let flag = |name: &str| manifest.lines().map(word).find_map(|word| word.strip_prefix(name).map(str::to_owned));
    flag("--initial-cluster-state=existing")?;
    let list = flag("--initial-cluster=")?;
    let list = list.trim_matches(['"', '\'']);
    list.split(',').map(|pair| pair.split_once('=').map(|(name, url)| (name.to_owned(), url.to_owned()))).collect()
}

/// A member of etcd.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
pub struct Member {
    /// Member id, assigned by etcd.
    pub id: u64,
    /// Its name; empty until the member has started for the first time.
    pub name: String,
    /// URLs at which other members reach it.
    pub peer_urls: Vec<String>,
    /// URLs at which clients reach it; empty until it has started for the first time.
    pub client_urls: Vec<String>,
    /// True while it receives the log but has no vote.
    pub learner: bool,
}

/// What a joining node does next.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum NextMove {
    /// Add itself as a learner.
    AddLearner,
    /// Wait for the member of this name: etcd accepts one learner at a time, and it is not promoted yet.
    WaitFor(String),
    /// Promote this learner (its id) once it has caught up.
    Promote(u64),
    /// Nothing: the member with this id is a voting member.
    Done(u64),
    /// Stop: a member of this name has a different peer URL. The node changed its address, or another node has the same
    /// name.
    Taken(Member),
}

/// Derives the next step from the member list.
pub fn next_move(members: &[Member], name: &str, peer_url: &str) -> NextMove {
    if let Some(own) = members.iter().find(|member| member.peer_urls.iter().any(|url| url == peer_url)) {
        return if own.learner { NextMove::Promote(own.id) } else { NextMove::Done(own.id) };
    }
    if let Some(taken) = members.iter().find(|member| member.name == name) {
        return NextMove::Taken(taken.clone());
    }
    match members.iter().find(|member| member.learner) {
        Some(other) => NextMove::WaitFor(label(other)),
        None => NextMove::AddLearner,
    }
}

/// Whether etcd has to be updated with a new address of this node.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AddressMove {
    /// The member's peer URL is up to date.
    Known,
    /// The member with this id has a different peer URL; update it.
    Tell(u64),
    /// The node is not a member.
    NoMember,
}

/// Derives it from the member list.
pub fn address_move(members: &[Member], name: &str, peer_url: &str) -> AddressMove {
    if members.iter().any(|member| member.peer_urls.iter().any(|url| url == peer_url)) {
        return AddressMove::Known;
    }
    members.iter().find(|member| member.name == name).map_or(AddressMove::NoMember, |own| AddressMove::Tell(own.id))
}

/// A display name: that of the member, or its id if it never started.
pub fn label(member: &Member) -> String {
    if member.name.is_empty() { member.peer_urls.join(",") } else { member.name.clone() }
}

/// Name and peer URL of every member for `--initial-cluster`; this node's own entry gets `name`, since it has none yet.
pub fn initial_cluster(members: &[Member], name: &str, peer_url: &str) -> Vec<(String, String)> {
    let entry = |member: &Member| {
        let own = member.peer_urls.iter().any(|url| url == peer_url);
        let name = if own { name } else { member.name.as_str() };
        member.peer_urls.iter().map(|url| (name.to_owned(), url.clone())).collect::<Vec<_>>()
    };
    // A member that was added and never started has no name; etcd expects only the others.
    let named =
        members.iter().filter(|member| !member.name.is_empty() || member.peer_urls.iter().any(|url| url == peer_url));
    let mut all: Vec<(String, String)> = named.flat_map(entry).collect();
    all.sort();
    all
}

/// True when `voters` members keep a quorum without one of them.
pub fn survives_loss_of_one(voters: usize) -> bool {
    voters >= 3
}

#[cfg(test)]
mod tests {
    use super::*;

    fn member(id: u64, name: &str, host: &str, learner: bool) -> Member {
        Member { id, name: name.into(), peer_urls: vec![format!("https://{host}:2380")], client_urls: vec![], learner }
    }

    #[test]
    fn a_new_node_becomes_a_learner_and_then_votes() {
        let mut members = vec![member(1, "n1", "10.0.0.1", false)];
        let url = "https://10.0.0.2:2380";
        assert_eq!(next_move(&members, "n2", url), NextMove::AddLearner);
        members.push(member(2, "", "10.0.0.2", true));
        assert_eq!(next_move(&members, "n2", url), NextMove::Promote(2));
        members[1] = member(2, "n2", "10.0.0.2", false);
        assert_eq!(next_move(&members, "n2", url), NextMove::Done(2));
    }

    #[test]
    fn a_manifest_tells_whom_it_joined() {
        let joined = "  - --initial-cluster=n1=https://10.0.0.1:2380,n2=https://10.0.0.2:2380\n  - --initial-cluster-state=existing\n";
        let members = joined_members(joined).unwrap();
        assert_eq!(members[1], ("n2".to_owned(), "https://10.0.0.2:2380".to_owned()));
        let unit = "ExecStart=/bin/etcd \\\n  --initial-cluster=n1=https://10.0.0.1:2380,n2=https://10.0.0.2:2380 \\\n  --initial-cluster-state=existing \\\n  --name=n2\n";
        assert_eq!(joined_members(unit), Some(members));
        assert_eq!(joined_members("  - --initial-cluster=n1=https://10.0.0.1:2380\n"), None);
    }

    #[test]
    fn joins_queue_behind_another_learner() {
        let members = [member(1, "n1", "10.0.0.1", false), member(2, "", "10.0.0.2", true)];
        assert_eq!(
            next_move(&members, "n3", "https://10.0.0.3:2380"),
            NextMove::WaitFor("https://10.0.0.2:2380".into())
        );
    }

    #[test]
    fn a_member_of_the_same_name_elsewhere_is_not_overwritten() {
        let members = [member(1, "n1", "10.0.0.1", false), member(2, "n2", "10.0.0.9", false)];
        assert_eq!(next_move(&members, "n2", "https://10.0.0.2:2380"), NextMove::Taken(members[1].clone()));
    }

    #[test]
    fn a_member_with_another_address_is_told_of_once() {
        let members = [member(1, "n1", "10.0.0.1", false), member(2, "n2", "10.0.0.9", false)];
        assert_eq!(address_move(&members, "n2", "https://10.0.0.2:2380"), AddressMove::Tell(2));
        assert_eq!(address_move(&members, "n2", "https://10.0.0.9:2380"), AddressMove::Known);
        assert_eq!(address_move(&members, "n3", "https://10.0.0.3:2380"), AddressMove::NoMember);
    }

    #[test]
    fn the_initial_cluster_names_the_own_entry() {
        let members = [member(2, "", "10.0.0.2", true), member(1, "n1", "10.0.0.1", false)];
        assert_eq!(
            initial_cluster(&members, "n2", "https://10.0.0.2:2380"),
            [("n1".into(), "https://10.0.0.1:2380".into()), ("n2".to_owned(), "https://10.0.0.2:2380".to_owned())]
        );
    }
}
