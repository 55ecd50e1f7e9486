package main

import (
	"os"
	"path/filepath"
	"strconv"
	"strings"
)

const cgroupRoot = "/sys/fs/cgroup"

// measures are those of the container: its cgroup is the only one that it sees.
func measures() event {
	return event{"memory": memory(), "cpu": cpuSeconds(), "processes": processes(), "oom": oomKills()}
}

func number(file string) (int64, bool) {
	text, err := os.ReadFile(filepath.Join(cgroupRoot, file))
	if err != nil {
		return 0, false
	}
	value, err := strconv.ParseInt(strings.TrimSpace(string(text)), 10, 64)
	return value, err == nil
}

func field(file, name string) int64 {
	text, _ := os.ReadFile(filepath.Join(cgroupRoot, file))
	for _, line := range strings.Split(string(text), "\n") {
		if rest, found := strings.CutPrefix(line, name+" "); found {
			value, _ := strconv.ParseInt(rest, 10, 64)
			return value
		}
	}
	return 0
}

// memory is what would not be given back when somebody else needs it.
func memory() int64 {
	if used, ok := number("memory.current"); ok {
		return used - field("memory.stat", "inactive_file")
	}
	used, _ := number("memory/memory.usage_in_bytes")
	return used - field("memory/memory.stat", "total_inactive_file")
}

func cpuSeconds() float64 {
	if used := field("cpu.stat", "usage_usec"); used > 0 {
		return float64(used) / 1e6
	}
	used, _ := number("cpuacct/cpuacct.usage")
	return float64(used) / 1e9
}

func oomKills() int64 {
	return field("memory.events", "oom_kill") + field("memory/memory.oom_control", "oom_kill")
}

func processes() int {
	entries, _ := os.ReadDir("/proc")
	count := 0
	for _, entry := range entries {
		if _, err := strconv.Atoi(entry.Name()); err == nil {
			count++
		}
	}
	return count
}
