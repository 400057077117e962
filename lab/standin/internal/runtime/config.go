// Package runtime configures and starts containerd. Images that come from files are the
// business of package images.
package runtime

import (
	"bytes"
	_ "embed"
	"os"
	"path/filepath"
	"text/template"

	"aiplat.dev/standin/internal/config"
	"aiplat.dev/standin/internal/host"
	"aiplat.dev/standin/internal/pki"
	"aiplat.dev/standin/internal/registries"
)

// Socket is where k3s' containerd listens.
const Socket = "/run/k3s/containerd/containerd.sock"

//go:embed config.toml.tmpl
var baseTemplate string

// Paths are the places that containerd uses under the data folder.
type Paths struct {
	Etc, Root, State, CertsD, CNIConf, CNIBin, Log, Images string
}

// PathsFor returns k3s' places for a data folder.
func PathsFor(dataDir string) Paths {
	agent := filepath.Join(dataDir, "agent")
	return Paths{
		Etc: filepath.Join(agent, "etc/containerd"), Root: filepath.Join(agent, "containerd"), State: "/run/k3s/containerd",
		CertsD: filepath.Join(agent, "etc/containerd/certs.d"), CNIConf: filepath.Join(agent, "etc/cni/net.d"),
		CNIBin: filepath.Join(dataDir, "data/cni"), Log: filepath.Join(agent, "containerd/containerd.log"),
		Images: filepath.Join(agent, "images"),
	}
}

// auth is one registry's credentials in the form that the template writes.
type auth struct {
	Host string
	registries.Auth
}

// WriteConfig renders config.toml, certs.d and crictl.yaml. All are made again at each start.
func WriteConfig(n config.Node, p Paths) error {
	file, err := registries.Load(n.PrivateRegistry)
	if err != nil {
		return err
	}
	if err := registries.Write(file, p.CertsD, n.NoDefaultEndpoint); err != nil {
		return err
	}
	var auths []auth
	hosts, known := file.Auths()
	for _, name := range hosts {
		auths = append(auths, auth{name, known[name]})
	}
	text, err := render(p, map[string]any{
		"Paths": p, "Socket": Socket, "PauseImage": n.PauseImage, "Snapshotter": n.Snapshotter, "Debug": n.Debug,
		"NonrootDevices": n.NonrootDevice, "KeepOOMScore": !host.MayLowerOOMScore(), "SystemdCgroup": SystemdCgroup(), "Auths": auths,
	})
	if err != nil {
		return err
	}
	if err := pki.WriteFile(filepath.Join(p.Etc, "config.toml"), text, 0o600); err != nil {
		return err
	}
	crictl := "runtime-endpoint: unix://" + Socket + "\n"
	return pki.WriteFile(filepath.Join(filepath.Dir(p.Etc), "crictl.yaml"), []byte(crictl), 0o644)
}

// render uses the administrator's template if there is one; it may refer to ours as "base".
func render(p Paths, data any) ([]byte, error) {
	parsed, err := template.New("base").Parse(baseTemplate)
	if err != nil {
		return nil, err
	}
	if own, err := os.ReadFile(filepath.Join(p.Etc, "config-v3.toml.tmpl")); err == nil {
		if parsed, err = parsed.New("own").Parse(string(own)); err != nil {
			return nil, err
		}
	}
	var out bytes.Buffer
	err = parsed.Execute(&out, data)
	return out.Bytes(), err
}

// SystemdCgroup says which cgroup driver fits: systemd's own where systemd runs, also beside version 1
// of cgroups, as in k3s.
func SystemdCgroup() bool { return host.Systemd() }
