package config

import (
	"fmt"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"aiplat.dev/standin/internal/keys"
	"aiplat.dev/standin/internal/version"
)

// DefaultDataDir is where k3s keeps everything of its own.
const DefaultDataDir = "/var/lib/rancher/k3s"

// Packaged lists the items that `disable` knows by name in k3s.
var Packaged = []string{"coredns", "servicelb", "traefik", "local-storage", "metrics-server", "runtimes"}

// notPackaged are components of k3s that the stand-in does not carry.
var notPackaged = []string{"servicelb", "traefik", "metrics-server"}

// Node holds what both commands need to run a node.
type Node struct {
	DataDir, Name, ServerURL, Token  string
	IPs                              []netip.Addr // none: the address of the default route's interface
	BindAddress                      string
	Labels, Taints                   []string
	ResolvConf                       string
	KubeletArgs, ProxyArgs           []string
	PauseImage, Snapshotter          string
	PrivateRegistry                  string
	FlannelIface                     string // empty: the interface of the default route
	NoDefaultEndpoint, NonrootDevice bool
	ProtectKernel, Debug             bool
	Verbosity, VModule               string
}

// Server holds what the server command needs beside its own node.
type Server struct {
	Node
	AgentToken                     string
	Port                           string
	Advertise                      string
	SANs                           []string
	ClusterCIDRs, ServiceCIDRs     []netip.Prefix // one, or one of each family
	ClusterDNS                     []netip.Addr
	IPv6Masq                       bool
	ClusterDomain, NodePorts       string
	FlannelBackend                 string
	Kubeconfig, KubeconfigMode     string
	KubeconfigGroup                string
	APIServerArgs, ControllerArgs  []string
	SchedulerArgs                  []string
	LocalStoragePath               string
	Disable                        []string
	DisableScheduler, DisableProxy bool
	DisablePolicy                  bool
	Encryption                     bool
	EncryptionProvider             string
}

// NodeFrom reads the settings that server and agent share.
func NodeFrom(v Values) (Node, error) {
	hostname, err := os.Hostname()
	if err != nil {
		return Node{}, err
	}
	n := Node{
		DataDir: v.Text("data-dir", DefaultDataDir), Name: strings.ToLower(v.Text("node-name", hostname)),
		ServerURL: strings.TrimRight(v.Text("server", ""), "/"), BindAddress: v.Text("bind-address", "0.0.0.0"),
		Labels: v.List("node-label"), Taints: v.List("node-taint"), ResolvConf: v.Text("resolv-conf", ""),
		KubeletArgs: v.List("kubelet-arg"), ProxyArgs: v.List("kube-proxy-arg"),
		PauseImage:  v.Text("pause-image", "rancher/mirrored-pause:"+version.Images().Pause),
		Snapshotter: v.Text("snapshotter", "overlayfs"), PrivateRegistry: v.Text("private-registry", "/etc/rancher/k3s/registries.yaml"),
		NoDefaultEndpoint: v.Flag("disable-default-registry-endpoint"), NonrootDevice: v.Flag("nonroot-devices"),
		ProtectKernel: v.Flag("protect-kernel-defaults"), Debug: v.Flag("debug"),
		FlannelIface: v.Text("flannel-iface", ""),
		Verbosity:    v.Text("v", "0"), VModule: v.Text("vmodule", ""),
	}
	if n.DataDir, err = filepath.Abs(n.DataDir); err != nil {
		return n, err
	}
	if n.Token, err = v.Secret("token"); err != nil {
		return n, err
	}
	if n.IPs, err = addresses(v, "node-ip"); err != nil || len(n.IPs) == 0 {
		return n, err
	}
	return n, inOrder("node-ip", n.IPs)
}

// ServerFrom reads the server's settings and refuses what k3s would refuse before it starts.
func ServerFrom(v Values) (Server, error) {
	node, err := NodeFrom(v)
	if err != nil {
		return Server{}, err
	}
	s := Server{
		Node: node, Port: v.Text("https-listen-port", "6443"), Advertise: v.Text("advertise-address", ""),
		SANs: v.List("tls-san"), ClusterDomain: v.Text("cluster-domain", "cluster.local"),
		NodePorts: v.Text("service-node-port-range", "30000-32767"), FlannelBackend: v.Text("flannel-backend", "vxlan"),
		Kubeconfig: v.Text("write-kubeconfig", DefaultKubeconfig), KubeconfigMode: v.Text("write-kubeconfig-mode", "0600"),
		KubeconfigGroup: v.Text("write-kubeconfig-group", ""), APIServerArgs: v.List("kube-apiserver-arg"),
		ControllerArgs:   append(v.List("kube-controller-manager-arg"), v.List("kube-controller-arg")...),
		SchedulerArgs:    v.List("kube-scheduler-arg"),
		LocalStoragePath: v.Text("default-local-storage-path", filepath.Join(node.DataDir, "storage")),
		Disable:          v.List("disable"), DisableScheduler: v.Flag("disable-scheduler"),
		DisableProxy: v.Flag("disable-kube-proxy"), DisablePolicy: v.Flag("disable-network-policy"),
		IPv6Masq:   v.Flag("flannel-ipv6-masq"),
		Encryption: v.Flag("secrets-encryption"), EncryptionProvider: v.Text("secrets-encryption-provider", "aescbc"),
	}
	if s.AgentToken, err = v.Secret("agent-token"); err != nil {
		return s, err
	}
	if s.ClusterCIDRs, err = networks(v, "cluster-cidr", "10.42.0.0/16"); err != nil {
		return s, err
	}
	if s.ServiceCIDRs, err = networks(v, "service-cidr", "10.43.0.0/16"); err != nil {
		return s, err
	}
	if s.ClusterDNS, err = addresses(v, "cluster-dns"); err != nil {
		return s, err
	}
	if len(s.ClusterDNS) == 0 {
		s.ClusterDNS = nth(s.ServiceCIDRs, 10)
	}
	if err := s.sameFamilies(); err != nil {
		return s, err
	}
	return s, s.check()
}

// sameFamilies refuses, in k3s' words, networks and node addresses that are not all of one family or
// all of both.
func (s Server) sameFamilies() error {
	if len(s.ServiceCIDRs) != len(s.ClusterCIDRs) {
		return fmt.Errorf("cluster-cidr: %v and service-cidr: %v, must share the same IP version (IPv4, IPv6 or dual-stack)", s.ClusterCIDRs, s.ServiceCIDRs)
	}
	return s.SharesFamilies(s.ClusterCIDRs)
}

// SharesFamilies says whether a node has an address of each family of its cluster.
func (n Node) SharesFamilies(cluster []netip.Prefix) error {
	if len(n.IPs) < len(cluster) && len(cluster) > 1 {
		return fmt.Errorf("cluster-cidr: %v and node-ip: %v, must share the same IP version (IPv4, IPv6 or dual-stack)", cluster, n.IPs)
	}
	return nil
}

// DefaultKubeconfig is where k3s writes the administrator's kubeconfig.
const DefaultKubeconfig = "/etc/rancher/k3s/k3s.yaml"

func (s Server) check() error {
	var missing []string
	for _, name := range notPackaged {
		if !slices.Contains(s.Disable, name) {
			missing = append(missing, name)
		}
	}
	if len(missing) > 0 {
		return fmt.Errorf("the stand-in does not carry k3s' packaged %s; put them under `disable:` in the configuration", strings.Join(missing, ", "))
	}
	return nil
}

func networks(v Values, key, fallback string) ([]netip.Prefix, error) {
	values := v.List(key)
	if len(values) == 0 {
		values = []string{fallback}
	}
	found, err := Prefixes(strings.Join(values, ","))
	if err != nil {
		return nil, fmt.Errorf("%s: invalid CIDR address: %w", key, err)
	}
	first := make([]netip.Addr, len(found))
	for i, prefix := range found {
		first[i] = prefix.Addr()
	}
	return found, inOrder(key, first)
}

// Prefixes reads networks that commas part.
func Prefixes(text string) ([]netip.Prefix, error) {
	var found []netip.Prefix
	for part := range strings.SplitSeq(text, ",") {
		prefix, err := netip.ParsePrefix(part)
		if err != nil {
			return nil, err
		}
		found = append(found, prefix.Masked())
	}
	return found, nil
}

// Listed writes networks or addresses with commas between them.
func Listed[T fmt.Stringer](items []T) string {
	texts := make([]string, len(items))
	for i, item := range items {
		texts[i] = item.String()
	}
	return strings.Join(texts, ",")
}

func addresses(v Values, key string) ([]netip.Addr, error) {
	var found []netip.Addr
	for _, value := range v.List(key) {
		ip, err := netip.ParseAddr(value)
		if err != nil {
			return nil, fmt.Errorf("%s: invalid IP address: %s", key, value)
		}
		found = append(found, ip)
	}
	return found, nil
}

// inOrder says whether there is one IPv4 address, or that and one IPv6 address: other orders, and IPv6
// alone, k3s takes and the stand-in does not.
func inOrder(key string, found []netip.Addr) error {
	if !found[0].Is4() || len(found) > 2 || (len(found) == 2 && !found[1].Is6()) {
		return fmt.Errorf("%s: the stand-in takes one of IPv4, or that and one of IPv6, got %s", key, Listed(found))
	}
	return nil
}

// nth counts addresses up from the first of each network.
func nth(networks []netip.Prefix, n int) []netip.Addr {
	found := make([]netip.Addr, len(networks))
	for i, network := range networks {
		found[i] = network.Addr()
		for range n {
			found[i] = found[i].Next()
		}
	}
	return found
}

// ServiceIPs are the addresses of the API inside the cluster: the first of each service network.
func (s Server) ServiceIPs() []netip.Addr { return nth(s.ServiceCIDRs, 1) }

// LoadServer reads and checks the configuration of a server.
func LoadServer(args []string) (Server, error) {
	values, err := Load(keys.Server, args, os.Getenv)
	if err != nil {
		return Server{}, err
	}
	return ServerFrom(values)
}

// LoadAgent reads and checks the configuration of an agent.
func LoadAgent(args []string) (Node, error) {
	values, err := Load(keys.Agent, args, os.Getenv)
	if err != nil {
		return Node{}, err
	}
	n, err := NodeFrom(values)
	switch {
	case err != nil:
		return n, err
	case n.ServerURL == "":
		return n, fmt.Errorf("--server is required")
	case n.Token == "":
		return n, fmt.Errorf("--token is required")
	}
	if _, port, err := net.SplitHostPort(strings.TrimPrefix(n.ServerURL, "https://")); !strings.HasPrefix(n.ServerURL, "https://") || err != nil || port == "" {
		return n, fmt.Errorf("server: %s is not an address of the form https://HOST:6443", n.ServerURL)
	}
	return n, nil
}
