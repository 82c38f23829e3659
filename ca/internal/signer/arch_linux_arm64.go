package signer

import "golang.org/x/sys/unix"

// arch is what seccomp_data says of a call by this architecture's table.
const arch = unix.AUDIT_ARCH_AARCH64
