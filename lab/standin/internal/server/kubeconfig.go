package server

import (
	"fmt"
	"os"
	"os/user"
	"path/filepath"
	"strconv"

	"k8s.io/client-go/tools/clientcmd"
	clientcmdapi "k8s.io/client-go/tools/clientcmd/api"

	"aiplat.dev/standin/internal/config"
	"aiplat.dev/standin/internal/pki"
)

// writeKubeconfig leaves the administrator's kubeconfig where it is wanted, and a link to it where
// k3s' users look for it.
func (s *server) writeKubeconfig() error {
	if err := s.writeKubeconfigFile(); err != nil || s.Kubeconfig == config.DefaultKubeconfig {
		return err
	}
	if err := os.MkdirAll(filepath.Dir(config.DefaultKubeconfig), 0o755); err != nil {
		return err
	}
	return relink(s.Kubeconfig, config.DefaultKubeconfig)
}

// writeKubeconfigFile writes everything into the file, since it is made to be copied elsewhere.
func (s *server) writeKubeconfigFile() error {
	cert, err := os.ReadFile(s.tls("client-admin.crt"))
	if err != nil {
		return err
	}
	key, err := os.ReadFile(s.tls("client-admin.key"))
	if err != nil {
		return err
	}
	c := clientcmdapi.NewConfig()
	c.Clusters["default"] = &clientcmdapi.Cluster{Server: s.url(), CertificateAuthorityData: s.caPEM}
	c.AuthInfos["default"] = &clientcmdapi.AuthInfo{ClientCertificateData: cert, ClientKeyData: key}
	c.Contexts["default"] = &clientcmdapi.Context{Cluster: "default", AuthInfo: "default"}
	c.CurrentContext = "default"
	raw, err := clientcmd.Write(*c)
	if err != nil {
		return err
	}
	mode, err := strconv.ParseUint(s.KubeconfigMode, 8, 32)
	if err != nil {
		return fmt.Errorf("write-kubeconfig-mode: %q is not an octal file mode", s.KubeconfigMode)
	}
	if err := pki.WriteFile(s.Kubeconfig, raw, os.FileMode(mode)); err != nil {
		return err
	}
	if s.KubeconfigGroup == "" {
		return nil
	}
	if err := chgrp(s.Kubeconfig, s.KubeconfigGroup); err != nil {
		return fmt.Errorf("write-kubeconfig-group: %w", err)
	}
	return nil
}

func chgrp(path, name string) error {
	id, err := strconv.Atoi(name)
	if err != nil {
		group, err := user.LookupGroup(name)
		if err != nil {
			return err
		}
		if id, err = strconv.Atoi(group.Gid); err != nil {
			return err
		}
	}
	return os.Chown(path, -1, id)
}
