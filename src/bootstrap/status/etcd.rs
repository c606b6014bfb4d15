//! The members of etcd, each asked for its own health.

use futures::future::join_all;

use crate::bootstrap::etcd::client::{client, endpoints, single};
use crate::bootstrap::ports::Ports;
use crate::core::bootstrap::membership::{Member, label};
use crate::core::bootstrap::node_status::{EtcdMember, EtcdStatus};
use crate::core::model::spec::Spec;
use crate::core::model::with_causes;

/// Asks each member. If no member lists them, every endpoint that this node knows of is asked.
pub async fn observe(ports: &Ports, spec: &Spec) -> EtcdStatus {
    let external = spec.cluster.external_etcd.is_some();
    let mut status = EtcdStatus { external, ..EtcdStatus::default() };
    let known = match client(ports, spec).await {
        Ok(client) => client.list().await,
        Err(error) => {
            status.fault = Some(with_causes(&error));
            return status;
        }
    };
    let places = match known {
        Ok(members) => {
            status.listed = true;
            members.iter().map(place).collect()
        }
        Err(error) => {
            tracing::debug!(error = &error as &dyn std::error::Error, "no source knows the members");
            match endpoints(ports, spec).await {
                Ok(urls) => urls.into_iter().map(|url| (url.clone(), false, Some(url))).collect(),
                Err(error) => {
                    status.fault = Some(with_causes(&error));
                    Vec::new()
                }
            }
        }
    };
    status.members = join_all(places.into_iter().map(|place| ask(ports, spec, place))).await;
    status.members.sort_by(|a, b| a.name.cmp(&b.name));
    status
}

type Place = (String, bool, Option<String>);

fn place(member: &Member) -> Place {
    (label(member), member.learner, member.client_urls.first().cloned())
}

async fn ask(ports: &Ports, spec: &Spec, (name, learner, url): Place) -> EtcdMember {
    let mut member = EtcdMember { name, learner, ..EtcdMember::default() };
    let Some(url) = url else {
        member.fault = Some("it has never started".to_owned());
        return member;
    };
    let health = match single(ports, spec, &url) {
        Ok(single) => single.health().await.map_err(|error| with_causes(&error)),
        Err(error) => Err(with_causes(&error)),
    };
    match health {
        Ok(health) => {
            member.has_leader = health.leader != 0;
            (member.db_size, member.db_quota) = (health.db_size, health.db_quota);
            member.fault = match (health.leader, health.errors.as_slice()) {
                (0, _) => Some("it has no leader".to_owned()),
                (_, []) => None,
                (_, errors) => Some(errors.join(", ")),
            };
        }
        Err(fault) => member.fault = Some(brief(&fault, &url)),
    }
    member
}

/// What matters of the client's errors, which show the structures of its transport.
fn brief(fault: &str, url: &str) -> String {
    if fault.contains("Connection refused") {
        format!("it refuses connections at {url}")
    } else if ["timed out", "Timeout", "deadline"].iter().any(|word| fault.contains(word)) {
        format!("it does not answer at {url}")
    } else {
        fault.to_owned()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_error_of_the_transport_is_said_in_words() {
        let refused = "etcd: no member answers: grpc request error: Os { code: 111, message: \"Connection refused\" }";
        assert_eq!(brief(refused, "https://a:2379"), "it refuses connections at https://a:2379");
        assert_eq!(
            brief("TimeoutExpired: deadline has elapsed", "https://a:2379"),
            "it does not answer at https://a:2379"
        );
        assert_eq!(brief("certificate has expired", "https://a:2379"), "certificate has expired");
    }
}
