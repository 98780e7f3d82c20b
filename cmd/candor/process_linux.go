package main

import (
	"bytes"
	"os"
	"strconv"
	"time"
)

// residentBytes is how much memory a process has in use; 0 if that is not known.
func residentBytes(pid int) int64 {
	fields := statFields(pid)
	const rss = 21 // of those behind the name, counted from 0
	if len(fields) <= rss {
		return 0
	}
	pages, err := strconv.ParseInt(string(fields[rss]), 10, 64)
	if err != nil {
		return 0
	}
	return pages * int64(os.Getpagesize())
}

// processorTime is what a process has taken; 0 if that is not known.
func processorTime(pid int) time.Duration {
	const user, system = 11, 12
	fields := statFields(pid)
	if len(fields) <= system {
		return 0
	}
	var ticks int64
	for _, f := range fields[user : system+1] {
		n, err := strconv.ParseInt(string(f), 10, 64)
		if err != nil {
			return 0
		}
		ticks += n
	}
	return time.Duration(ticks) * 10 * time.Millisecond // the kernel tells hundredths of a second to programs, whatever it counts in
}

// statFields are the fields of /proc/PID/stat behind the program's name.
func statFields(pid int) [][]byte {
	data, err := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/stat")
	if err != nil {
		return nil
	}
	return bytes.Fields(data[bytes.LastIndexByte(data, ')')+1:])
}
