//! Compiles the vendored interface definitions with protox, since protoc 3.21 refuses them.

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let runtime = "src/cri";
    println!("cargo:rerun-if-changed={runtime}");
    let files = protox::compile(["api.proto"], [runtime])?;
    tonic_prost_build::configure().build_server(false).compile_fds(files)?;

    let drivers = "src/adapters/csi";
    for name in ["csi.proto", "registration.proto"] {
        println!("cargo:rerun-if-changed={drivers}/{name}");
    }
    let mut files = protox::compile(["csi.proto", "registration.proto"], [drivers])?;
    // A kubelet calls only the node's part of a driver. The server halves are for the tests' own driver.
    let used = ["VolumeCapability", "Topology", "CapacityRange", "VolumeUsage", "VolumeCondition"];
    for file in files.file.iter_mut().filter(|file| file.package() == "csi.v1") {
        file.message_type.retain(|message| message.name().starts_with("Node") || used.contains(&message.name()));
        file.service.retain(|service| service.name() == "Node");
        // Comments are found by position, which has just changed.
        file.source_code_info = None;
    }
    tonic_prost_build::configure().compile_fds(files)?;
    Ok(())
}
