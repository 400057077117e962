// Package tools is `k3s kubectl`, `k3s crictl` and `k3s ctr`: the ordinary programs, told where
// this node's things are.
package tools

import (
	"os"
	"path/filepath"

	"golang.org/x/sys/unix"
	_ "k8s.io/client-go/plugin/pkg/client/auth" // the login plugins that upstream's kubectl has
	"k8s.io/component-base/cli"
	"k8s.io/kubectl/pkg/cmd"
	"k8s.io/kubectl/pkg/cmd/util"

	"aiplat.dev/standin/internal/config"
	"aiplat.dev/standin/internal/payload"
	"aiplat.dev/standin/internal/runtime"
)

// Kubectl runs kubectl with the administrator's kubeconfig, unless the caller names another.
func Kubectl(args []string) error {
	if os.Getenv("KUBECONFIG") == "" {
		if file, err := os.Open(config.DefaultKubeconfig); err == nil {
			file.Close()
			os.Setenv("KUBECONFIG", config.DefaultKubeconfig)
		}
	}
	os.Args = append([]string{"kubectl"}, args...)
	if err := cli.RunNoErrOutput(cmd.NewDefaultKubectlCommand()); err != nil {
		util.CheckErr(err)
	}
	return nil
}

// Exec becomes one of the carried programs.
func Exec(name string, args []string) error {
	dataDir := config.DataDir(os.Getenv)
	bin, err := payload.Unpack(dataDir)
	if err != nil {
		return err
	}
	environment := []string{
		"CONTAINERD_ADDRESS=" + runtime.Socket,
		"CRI_CONFIG_FILE=" + filepath.Join(dataDir, "agent/etc/crictl.yaml"),
	}
	if os.Getenv("CONTAINERD_NAMESPACE") == "" {
		environment = append(environment, "CONTAINERD_NAMESPACE=k8s.io")
	}
	return unix.Exec(filepath.Join(bin, name), append([]string{name}, args...), append(os.Environ(), environment...))
}
