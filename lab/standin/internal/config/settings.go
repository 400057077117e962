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
	IP                               netip.Addr // zero: the address of the default route's interface
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
	ClusterCIDR, ServiceCIDR       netip.Prefix
	ClusterDNS                     netip.Addr
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
	if ips := v.List("node-ip"); len(ips) > 1 {
		return n, fmt.Errorf("node-ip: the stand-in takes one address, got %s", strings.Join(ips, ","))
	} else if len(ips) == 1 {
		if n.IP, err = ipv4("node-ip", ips[0]); err != nil {
			return n, err
		}
	}
	return n, nil
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
		Encryption: v.Flag("secrets-encryption"), EncryptionProvider: v.Text("secrets-encryption-provider", "aescbc"),
	}
	if s.AgentToken, err = v.Secret("agent-token"); err != nil {
		return s, err
	}
	if s.ClusterCIDR, err = network(v, "cluster-cidr", "10.42.0.0/16"); err != nil {
		return s, err
	}
	if s.ServiceCIDR, err = network(v, "service-cidr", "10.43.0.0/16"); err != nil {
		return s, err
	}
	s.ClusterDNS = nth(s.ServiceCIDR.Addr(), 10)
	if dns := v.List("cluster-dns"); len(dns) > 0 {
		if s.ClusterDNS, err = ipv4("cluster-dns", dns[0]); err != nil {
			return s, err
		}
	}
	return s, s.check()
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

func network(v Values, key, fallback string) (netip.Prefix, error) {
	values := v.List(key)
	if len(values) == 0 {
		values = []string{fallback}
	}
	if len(values) > 1 {
		return netip.Prefix{}, fmt.Errorf("%s: the stand-in takes one IPv4 network, got %s", key, strings.Join(values, ","))
	}
	prefix, err := netip.ParsePrefix(values[0])
	if err != nil || !prefix.Addr().Is4() {
		return netip.Prefix{}, fmt.Errorf("%s: invalid CIDR address: %s", key, values[0])
	}
	return prefix.Masked(), nil
}

func ipv4(key, value string) (netip.Addr, error) {
	ip, err := netip.ParseAddr(value)
	if err != nil || !ip.Is4() {
		return netip.Addr{}, fmt.Errorf("%s: invalid IPv4 address: %s", key, value)
	}
	return ip, nil
}

// nth counts addresses up from the first of a network.
func nth(ip netip.Addr, n int) netip.Addr {
	for range n {
		ip = ip.Next()
	}
	return ip
}

// ServiceIP is the address of the API inside the cluster: the first of the service network.
func (s Server) ServiceIP() netip.Addr { return nth(s.ServiceCIDR.Addr(), 1) }

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
