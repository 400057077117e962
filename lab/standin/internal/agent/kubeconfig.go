// Package agent runs a node: containerd, kubelet, kube-proxy, pod network and network policies.
// The server's own node is run by the same code, which then joins over loopback.
package agent

import (
	"fmt"

	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"
	clientcmdapi "k8s.io/client-go/tools/clientcmd/api"

	"aiplat.dev/standin/internal/pki"
)

// Credentials are a client certificate by file, or a bearer token.
type Credentials struct {
	Cert, Key string
	Token     string
}

// WriteKubeconfig writes a kubeconfig that refers to its certificates by path.
func WriteKubeconfig(path, server, caFile string, c Credentials) error {
	config := clientcmdapi.NewConfig()
	config.Clusters["local"] = &clientcmdapi.Cluster{Server: server, CertificateAuthority: caFile}
	config.AuthInfos["user"] = &clientcmdapi.AuthInfo{ClientCertificate: c.Cert, ClientKey: c.Key, Token: c.Token}
	config.Contexts["Default"] = &clientcmdapi.Context{Cluster: "local", AuthInfo: "user", Namespace: "default"}
	config.CurrentContext = "Default"
	raw, err := clientcmd.Write(*config)
	if err != nil {
		return err
	}
	return pki.WriteFile(path, raw, 0o600)
}

// ClientConfig loads a kubeconfig for use in this process.
func ClientConfig(path string) (*rest.Config, error) {
	config, err := clientcmd.BuildConfigFromFlags("", path)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	config.QPS, config.Burst = 50, 100
	config.UserAgent = "k3s"
	return config, nil
}
