package server

import (
	"net/netip"
	"os"

	"aiplat.dev/standin/internal/pki"
)

// ensureCerts makes the authorities and the certificates of the control plane.
func (s *server) ensureCerts(nodeIPs []netip.Addr) error {
	dir := s.tls("")
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return err
	}
	serverCA, err := pki.EnsureCA(dir, "server-ca")
	if err != nil {
		return err
	}
	clientCA, err := pki.EnsureCA(dir, "client-ca")
	if err != nil {
		return err
	}
	headerCA, err := pki.EnsureCA(dir, "request-header-ca")
	if err != nil {
		return err
	}
	s.caPEM, s.clientCA = serverCA.PEM, clientCA.PEM
	clients := []pki.Leaf{
		{Name: "client-admin", CN: "system:admin", Groups: []string{"system:masters"}},
		{Name: "client-supervisor", CN: "system:k3s-supervisor", Groups: []string{"system:masters"}},
		{Name: "client-controller", CN: "system:kube-controller-manager"},
		{Name: "client-scheduler", CN: "system:kube-scheduler"},
		{Name: "client-kube-apiserver", CN: "system:apiserver"},
	}
	for _, leaf := range clients {
		if err := pki.EnsureLeaf(dir, clientCA, leaf); err != nil {
			return err
		}
	}
	if err := pki.EnsureLeaf(dir, headerCA, pki.Leaf{Name: "client-auth-proxy", CN: "system:auth-proxy"}); err != nil {
		return err
	}
	if err := pki.EnsureLeaf(dir, serverCA, pki.Leaf{Name: "serving-kube-apiserver", CN: "kube-apiserver", Hosts: s.hosts(nodeIPs)}); err != nil {
		return err
	}
	return pki.EnsureServiceKey(s.tls("service.key"))
}

// hosts are the names and addresses that the API is reached by.
func (s *server) hosts(nodeIPs []netip.Addr) []string {
	hosts := []string{"kubernetes", "kubernetes.default", "kubernetes.default.svc", "kubernetes.default.svc." + s.ClusterDomain,
		"localhost", "127.0.0.1", s.Name}
	for _, address := range append(s.ServiceIPs(), nodeIPs...) {
		hosts = append(hosts, address.String())
	}
	if s.Advertise != "" {
		hosts = append(hosts, s.Advertise)
	}
	return append(hosts, s.SANs...)
}
