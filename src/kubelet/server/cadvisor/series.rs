//! One metric family of `/metrics/cadvisor` over all cgroups, with the labels of every sample.

use crate::core::model::cgroup_sample::CgroupDetail;
use crate::telemetry::exposition::{Kind, Page};

/// Prints one family: `each` returns the samples of a cgroup, as additional labels and value.
pub(super) fn series(
    page: &mut Page,
    name: &str,
    kind: Kind,
    help: &str,
    details: &[CgroupDetail],
    each: impl Fn(&CgroupDetail, &mut dyn FnMut(&[(&str, &str)], f64)),
) {
    let mut begun = false;
    for detail in details {
        each(detail, &mut |more, value| {
            if !std::mem::replace(&mut begun, true) {
                page.family(name, kind, help);
            }
            let mut labels = vec![
                ("container", detail.container.as_str()),
                ("id", detail.id.as_str()),
                ("image", detail.image.as_str()),
                ("name", detail.name.as_str()),
                ("namespace", detail.namespace.as_str()),
                ("pod", detail.pod.as_str()),
            ];
            labels.extend_from_slice(more);
            page.sample(name, &labels, value, Some(detail.sample.at.as_millisecond()));
        });
    }
}
