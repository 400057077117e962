// Package version holds what the build stamps into the binary.
package version

import "runtime"

// Version and Sources are set by the build: the k3s version that this stands in for, and eight
// digits that change with the stand-in's own sources.
var (
	Version = "v0.0.0+k3s0"
	Sources = "00000000"
)

// Text is what `k3s --version` prints.
func Text() string {
	return "k3s version " + Version + " (" + Sources + ")\ngo version " + runtime.Version()
}
