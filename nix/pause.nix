# The pause program of Kubernetes as one static file, from which bootstrap builds the sandbox image.
{
  runCommandCC,
  glibc,
  kubernetes,
}:
runCommandCC "pause-${kubernetes.version}" { buildInputs = [ glibc.static ]; } ''
  mkdir -p $out/bin
  $CC -Os -Wall -static -DVERSION=${kubernetes.version} -o $out/bin/pause ${kubernetes.src}/build/pause/linux/pause.c
  $STRIP $out/bin/pause
''
