package main

import (
	"syscall"
	"time"
	"unsafe"
)

const (
	prSetDumpable       = 4
	prSetChildSubreaper = 36
	clockBoottime       = 7
)

func prctl(option, value uintptr) error {
	if _, _, errno := syscall.RawSyscall(syscall.SYS_PRCTL, option, value, 0); errno != 0 {
		return errno
	}
	return nil
}

// sinceBoot goes on while the machine sleeps: a suspended shim wakes up too late, and knows it.
func sinceBoot() time.Duration {
	var now syscall.Timespec
	syscall.RawSyscall(syscall.SYS_CLOCK_GETTIME, clockBoottime, uintptr(unsafe.Pointer(&now)), 0)
	return time.Duration(now.Nano())
}
