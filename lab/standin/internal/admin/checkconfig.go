package admin

import (
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
)

// checkConfig says what Kubernetes needs of the kernel and this machine lacks; root is where its files
// begin. k3s asks the kernel's build configuration as well, which a machine need not show.
func checkConfig(root string, out io.Writer) error {
	missing := 0
	say := func(name string, good bool) {
		word := "good"
		if !good {
			word = "missing (fail)"
			missing++
		}
		fmt.Fprintf(out, "- %s: %s\n", name, word)
	}
	for _, name := range []string{"cpu", "cpuset", "memory", "pids"} {
		say("cgroup "+name, hasController(root, name))
	}
	say("overlay", fileHas(filepath.Join(root, "proc/filesystems"), "overlay"))
	for _, path := range []string{"net/bridge/bridge-nf-call-iptables", "net/netfilter/nf_conntrack_max", "net/ipv4/ip_forward"} {
		_, err := os.Stat(filepath.Join(root, "proc/sys", path))
		say(path, err == nil)
	}
	if missing > 0 {
		fmt.Fprintf(out, "\nSTATUS: %d (fail)\n", missing)
		return fmt.Errorf("check-config: %d of what Kubernetes needs is missing", missing)
	}
	fmt.Fprintln(out, "\nSTATUS: pass")
	return nil
}

func hasController(root, name string) bool {
	if fileHas(filepath.Join(root, "sys/fs/cgroup/cgroup.controllers"), name) {
		return true
	}
	_, err := os.Stat(filepath.Join(root, "sys/fs/cgroup", name))
	return err == nil
}

func fileHas(path, word string) bool {
	raw, err := os.ReadFile(path)
	if err != nil {
		return false
	}
	for _, field := range strings.Fields(string(raw)) {
		if field == word {
			return true
		}
	}
	return false
}
