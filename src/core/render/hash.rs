//! Hash of a container's definition, stored as an annotation of the container.

/// FNV-1a over the JSON that Go writes for image and name, in hex without leading zeros.
///
/// Source: `HashContainer` in `pkg/kubelet/container/helpers.go`. It must not change: another hash would restart every
/// container when a node switches from the upstream kubelet.
pub fn container_hash(name: &str, image: &str) -> String {
    let json = format!("{{\"image\":{},\"name\":{}}}", go_json(image), go_json(name));
    let mut hash = Fnv::default();
    hash.write(b"([]uint8)[");
    for (i, byte) in json.bytes().enumerate() {
        if i > 0 {
            hash.write(b" ");
        }
        hash.write(byte.to_string().as_bytes());
    }
    hash.write(b"]");
    format!("{:x}", hash.0)
}

/// A JSON string as Go writes it: with `<`, `>` and `&` escaped.
fn go_json(text: &str) -> String {
    let json = serde_json::Value::from(text).to_string();
    json.replace('<', "\\u003c").replace('>', "\\u003e").replace('&', "\\u0026")
}

struct Fnv(u32);

impl Default for Fnv {
    fn default() -> Self {
        Self(0x811c_9dc5)
    }
}

impl Fnv {
    fn write(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.0 = (self.0 ^ u32::from(*byte)).wrapping_mul(0x0100_0193);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn gives_upstreams_vector() {
        assert_eq!(container_hash("test_container", "foo/image:v1"), "8e45cbd0");
    }
}
