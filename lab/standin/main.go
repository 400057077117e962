// Command k3s is the lab's stand-in for k3s: upstream Kubernetes behind the part of k3s' command
// line, files and habits that aiplat relies on. See README.md for what it does and does not do.
package main

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"

	"aiplat.dev/standin/internal/admin"
	"aiplat.dev/standin/internal/component"
	"aiplat.dev/standin/internal/service"
	"aiplat.dev/standin/internal/tools"
	"aiplat.dev/standin/internal/version"
)

const usage = `k3s, the stand-in of aiplat's lab (no k3s, never for real hosts)

usage:
  k3s server [options]    run a control plane and a node
  k3s agent [options]     run a node that joins a server
  k3s kubectl ...         upstream kubectl with this cluster's kubeconfig
  k3s crictl ...          look into the node's containers
  k3s ctr ...             containerd's own client, in the namespace k8s.io
  k3s certificate check | rotate, secrets-encrypt status, token rotate, check-config
  k3s --version

Options are k3s' own keys, as --KEY VALUE or in /etc/rancher/k3s/config.yaml.
`

// notHere are commands of k3s that are left out.
var notHere = []string{"etcd-snapshot", "completion"}

func main() {
	name, args := filepath.Base(os.Args[0]), os.Args[1:]
	switch name {
	case "kubectl", "crictl", "ctr":
		args = append([]string{name}, args...)
	}
	if err := run(args); err != nil {
		fmt.Fprintln(os.Stderr, "k3s:", err)
		os.Exit(1)
	}
}

func run(args []string) error {
	if len(args) == 0 {
		fmt.Print(usage)
		return nil
	}
	command, rest := args[0], args[1:]
	switch command {
	case "--version", "-v", "version":
		fmt.Println(version.Text())
		return nil
	case "--help", "-h", "help":
		fmt.Print(usage)
		return nil
	case "server":
		return service.Server(rest)
	case "agent":
		return service.Agent(rest)
	case "kubectl":
		return tools.Kubectl(rest)
	case "crictl", "ctr":
		return tools.Exec(command, rest)
	case "internal":
		if len(rest) == 0 {
			return errors.New("internal: which component?")
		}
		return component.Run(rest[0], rest[1:])
	}
	if admin.Has(command) {
		return admin.Run(command, rest, os.Stdout)
	}
	if slices.Contains(notHere, command) {
		return fmt.Errorf("k3s has the command %q, the stand-in does not implement it", command)
	}
	return fmt.Errorf("no command %q; see k3s --help", command)
}
