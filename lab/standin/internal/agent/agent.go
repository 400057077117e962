package agent

import (
	"context"
	"fmt"
	"log/slog"
	"net/netip"
	"os"
	"path/filepath"

	containerd "github.com/containerd/containerd/v2/client"
	"k8s.io/client-go/kubernetes"
	runtimeapi "k8s.io/cri-api/pkg/apis/runtime/v1"
	cri "k8s.io/cri-client/pkg"

	"aiplat.dev/standin/internal/component"
	"aiplat.dev/standin/internal/config"
	"aiplat.dev/standin/internal/host"
	"aiplat.dev/standin/internal/images"
	"aiplat.dev/standin/internal/netpol"
	"aiplat.dev/standin/internal/payload"
	"aiplat.dev/standin/internal/podnet"
	"aiplat.dev/standin/internal/runtime"
)

// PasswordFile is where a node keeps the password that proves it is the same node.
const PasswordFile = "/etc/rancher/node/password"

// node is one node's state while it starts.
type node struct {
	config.Node
	log        *slog.Logger
	sup        *component.Supervisor
	server     string
	ips        []netip.Addr
	resolvConf string
	cluster    map[string]string
	paths      runtime.Paths
}

// Node is a node whose containers can already run, before it has joined anything.
type Node struct{ n *node }

// Prepare checks the host, unpacks the programs, starts containerd and imports images. None of
// this needs a server, so a server does it while its own API starts.
func Prepare(ctx context.Context, sup *component.Supervisor, c config.Node, server string) (*Node, error) {
	if err := host.MakeDataDir(c.DataDir); err != nil {
		return nil, err
	}
	n := &node{Node: c, log: slog.Default(), sup: sup, server: server,
		paths: runtime.PathsFor(c.DataDir)}
	var err error
	if n.ips, err = NodeAddresses(c); err != nil {
		return nil, err
	}
	if n.resolvConf, err = host.ResolvConf(c.ResolvConf); err != nil {
		return nil, err
	}
	bin, err := payload.Unpack(c.DataDir)
	if err != nil {
		return nil, err
	}
	// Children inherit it. The host's own iptables, if it has one, comes first, as in k3s.
	os.Setenv("PATH", bin+":"+os.Getenv("PATH")+":"+filepath.Join(bin, "aux"))
	if err := ensurePassword(PasswordFile); err != nil {
		return nil, err
	}
	host.SetKernel(len(n.ips) > 1)
	if err := runtime.WriteConfig(c, n.paths); err != nil {
		return nil, err
	}
	client, err := runtime.Start(ctx, sup, n.paths, bin)
	if err != nil {
		return nil, err
	}
	return &Node{n}, n.importImages(ctx, client)
}

// NodeAddresses are the node's own addresses, one of each family. Without a default route k3s does not
// start, even where node-ip is set: flannel asks for it, unless it is told its interface.
func NodeAddresses(c config.Node) ([]netip.Addr, error) {
	if len(c.IPs) > 0 && c.FlannelIface != "" {
		return c.IPs, nil
	}
	address, err := host.DefaultAddress()
	if len(c.IPs) > 0 && err == nil {
		return c.IPs, nil
	}
	return []netip.Addr{address}, err
}

func (n *node) importImages(ctx context.Context, client *containerd.Client) error {
	importer := &images.Importer{Client: client, Dir: n.paths.Images, Snapshotter: n.Snapshotter, Pull: pull}
	if err := importer.ImportAll(ctx); err != nil {
		return fmt.Errorf("images in %s: %w", n.paths.Images, err)
	}
	go func() {
		if err := importer.Watch(ctx); err != nil {
			n.log.Error("watching for new images", "error", err)
		}
	}()
	return nil
}

// pull asks containerd's CRI for an image, so that registries.yaml applies.
func pull(ctx context.Context, name string) error {
	service, err := cri.NewRemoteImageService(ctx, "unix://"+runtime.Socket, 0, nil, true)
	if err != nil {
		return err
	}
	_, err = service.PullImage(ctx, &runtimeapi.ImageSpec{Image: name}, nil, nil)
	return err
}

// Run joins the server and starts the node's parts. It returns when the pod network is set up
// or, for a server's node, may be left running in the background.
func (p *Node) Run(ctx context.Context, ready func()) error {
	n := p.n
	if err := balance(ctx, n.server); err != nil {
		return err
	}
	if n.ServerURL != "" {
		n.server = "https://" + balancerAddress
	}
	if err := n.joinUntil(ctx); err != nil {
		return err
	}
	cluster, err := config.Prefixes(n.cluster["clusterCIDR"])
	if err != nil {
		return err
	}
	if err := n.SharesFamilies(cluster); err != nil {
		return err
	}
	if err := n.startKubelet(); err != nil {
		return err
	}
	if n.cluster["disableKubeProxy"] != "true" {
		if err := n.startProxy(); err != nil {
			return err
		}
	}
	clientConfig, err := ClientConfig(n.path("k3scontroller.kubeconfig"))
	if err != nil {
		return err
	}
	client, err := kubernetes.NewForConfig(clientConfig)
	if err != nil {
		return err
	}
	if n.cluster["disableNetworkPolicy"] != "true" {
		policies := netpol.Node{Name: n.Name, NodePorts: n.cluster["nodePorts"]}
		if policies.ServiceCIDRs, err = config.Prefixes(n.cluster["serviceCIDR"]); err != nil {
			return err
		}
		go func() {
			if err := netpol.Run(ctx, client, policies); err != nil && ctx.Err() == nil {
				n.sup.Fail(fmt.Errorf("network policies: %w", err))
			}
		}()
	}
	network := podnet.Network{Name: n.Name, Kubeconfig: n.path("k3scontroller.kubeconfig"), Backend: n.cluster["flannelBackend"],
		Interface: n.FlannelIface, ClusterCIDRs: cluster, IPv6Masq: n.cluster["flannelIPv6Masq"] == "true",
		ConfDir: n.paths.CNIConf, EtcDir: n.path("etc/flannel")}
	return network.Run(ctx, client, ready)
}
