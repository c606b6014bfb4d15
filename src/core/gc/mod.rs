//! What is left over on a node: dead containers, sandboxes, images, logs.
