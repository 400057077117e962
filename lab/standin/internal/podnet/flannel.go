// Package podnet gives pods their network as k3s does: flannel, in this process, between nodes, and a
// bridge within one. Filtering is netpol's.
package podnet

import (
	"context"
	"encoding/json"
	"fmt"
	"math/big"
	"net/netip"
	"os"
	"path/filepath"
	"sync"
	"time"

	"github.com/flannel-io/flannel/pkg/backend"
	_ "github.com/flannel-io/flannel/pkg/backend/hostgw" // registers itself
	_ "github.com/flannel-io/flannel/pkg/backend/vxlan"
	"github.com/flannel-io/flannel/pkg/ip"
	"github.com/flannel-io/flannel/pkg/ipmatch"
	"github.com/flannel-io/flannel/pkg/subnet"
	"github.com/flannel-io/flannel/pkg/subnet/kube"
	"github.com/flannel-io/flannel/pkg/trafficmngr/iptables"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/wait"
	"k8s.io/client-go/kubernetes"

	"aiplat.dev/standin/internal/pki"
)

const (
	subnetFile  = "/run/flannel/subnet.env"
	annotations = "flannel.alpha.coreos.com"
	resync      = 60 // seconds between looks whether the rules are still there
)

// Network is what a node has to know about the pod network.
type Network struct {
	Name         string // this node
	Kubeconfig   string
	Backend      string         // vxlan or host-gw
	Interface    string         // empty: the one of the default route
	ClusterCIDRs []netip.Prefix // one of IPv4, or that and one of IPv6
	IPv6Masq     bool           // whether pods' IPv6 packets leave the cluster with the host's address
	ConfDir      string         // where containerd reads CNI configuration
	EtcDir       string         // where flannel's own goes
}

// Run connects this node's pods with the other nodes' until the context ends. ready is called once
// this node's pods can have a network.
func (n Network) Run(ctx context.Context, client kubernetes.Interface, ready func()) error {
	podCIDRs, err := n.waitForCIDRs(ctx, client)
	if err != nil {
		return err
	}
	family, err := ipmatch.GetIPFamily(true, n.dual())
	if err != nil {
		return err
	}
	outside, err := ipmatch.LookupExtIface(n.Interface, "", "", family, ipmatch.PublicIPOpts{})
	if err != nil {
		return fmt.Errorf("flannel: %w", err)
	}
	leases, config, err := n.leases(ctx)
	if err != nil {
		return fmt.Errorf("flannel: %w", err)
	}
	kind, err := backend.NewManager(ctx, leases, outside).GetBackend(n.Backend)
	if err != nil {
		return fmt.Errorf("flannel: %w", err)
	}
	var running sync.WaitGroup
	network, err := kind.RegisterNetwork(ctx, &running, config)
	if err != nil {
		return fmt.Errorf("flannel: %w", err)
	}
	if err := n.addRules(ctx, config, network); err != nil {
		return fmt.Errorf("flannel: %w", err)
	}
	if err := os.MkdirAll(filepath.Dir(subnetFile), 0o755); err != nil {
		return err
	}
	if err := subnet.WriteSubnetFile(subnetFile, config, true, network.Lease().Subnet, network.Lease().IPv6Subnet, network.MTU()); err != nil {
		return err
	}
	if err := n.writeConf(podCIDRs, network.MTU()); err != nil {
		return err
	}
	ready()
	network.Run(ctx)
	return nil
}

func (n Network) dual() bool { return len(n.ClusterCIDRs) > 1 }

// waitForCIDRs waits until the controller manager has given this node its part of each pod network.
func (n Network) waitForCIDRs(ctx context.Context, client kubernetes.Interface) ([]string, error) {
	var cidrs []string
	err := wait.PollUntilContextCancel(ctx, 250*time.Millisecond, true, func(ctx context.Context) (bool, error) {
		node, err := client.CoreV1().Nodes().Get(ctx, n.Name, metav1.GetOptions{})
		if err == nil {
			cidrs = node.Spec.PodCIDRs
		}
		return len(cidrs) == len(n.ClusterCIDRs), nil
	})
	return cidrs, err
}

// conf is flannel's own configuration.
func (n Network) conf() map[string]any {
	conf := map[string]any{"Network": n.ClusterCIDRs[0].String(), "EnableIPv6": n.dual(), "EnableIPv4": true,
		"Backend": map[string]any{"Type": n.Backend}}
	if n.dual() {
		conf["IPv6Network"] = n.ClusterCIDRs[1].String()
	}
	return conf
}

// leases is flannel's view of the cluster: each node's part of the network stands in its Node object.
func (n Network) leases(ctx context.Context) (subnet.Manager, *subnet.Config, error) {
	data, err := json.MarshalIndent(n.conf(), "", "  ")
	if err != nil {
		return nil, nil, err
	}
	path := filepath.Join(n.EtcDir, "net-conf.json")
	if err := pki.WriteFile(path, append(data, '\n'), 0o600); err != nil {
		return nil, nil, err
	}
	// Where flannel and kube-router look for this node's name.
	os.Setenv("NODE_NAME", n.Name)
	leases, err := kube.NewSubnetManager(ctx, "", n.Kubeconfig, annotations, path, false)
	if err != nil {
		return nil, nil, err
	}
	config, err := leases.GetNetworkConfig(ctx)
	return leases, config, err
}

// addRules hides pods behind the node's address when they talk to anything but pods, and lets what
// pods send and get through the host.
func (n Network) addRules(ctx context.Context, config *subnet.Config, network backend.Network) error {
	rules := &iptables.IPTablesManager{}
	if err := rules.Init(ctx); err != nil {
		return err
	}
	// flannel compares IPv6 networks without looking whether there is one, so "none" is a number too.
	none, none6 := ip.IP4Net{}, ip.IP6Net{IP: (*ip.IP6)(new(big.Int))}
	hidden6 := none6
	if n.IPv6Masq {
		hidden6 = config.IPv6Network
	}
	if err := rules.SetupAndEnsureMasqRules(ctx, config.Network, none, none, hidden6, none6, none6, network.Lease(), resync, false); err != nil {
		return err
	}
	rules.SetupAndEnsureForwardRules(ctx, config.Network, config.IPv6Network, resync)
	return nil
}
