//! Compiles the vendored interface definitions (gRPC clients only) with protox, since protoc 3.21 refuses them.

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let root = "src/cri";
    println!("cargo:rerun-if-changed={root}");
    let fds = protox::compile(["api.proto"], [root])?;
    tonic_prost_build::configure().build_server(false).compile_fds(fds)?;
    Ok(())
}
