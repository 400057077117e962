// Package podnet gives pods their network as k3s does: flannel, in this process, between nodes, and a
// bridge within one. Filtering is netpol's.
package podnet

import (
	"context"
	"encoding/json"
	"fmt"
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
	Name        string // this node
	Kubeconfig  string
	Backend     string // vxlan or host-gw
	Interface   string // empty: the one of the default route
	ClusterCIDR netip.Prefix
	ConfDir     string // where containerd reads CNI configuration
	EtcDir      string // where flannel's own goes
}

// Run connects this node's pods with the other nodes' until the context ends. ready is called once
// this node's pods can have a network.
func (n Network) Run(ctx context.Context, client kubernetes.Interface, ready func()) error {
	podCIDR, err := n.waitForCIDR(ctx, client)
	if err != nil {
		return err
	}
	family, err := ipmatch.GetIPFamily(true, false)
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
	if err := addRules(ctx, config, network); err != nil {
		return fmt.Errorf("flannel: %w", err)
	}
	if err := os.MkdirAll(filepath.Dir(subnetFile), 0o755); err != nil {
		return err
	}
	if err := subnet.WriteSubnetFile(subnetFile, config, true, network.Lease().Subnet, ip.IP6Net{}, network.MTU()); err != nil {
		return err
	}
	if err := n.writeConf(podCIDR, network.MTU()); err != nil {
		return err
	}
	ready()
	network.Run(ctx)
	return nil
}

// waitForCIDR waits until the controller manager has given this node its part of the pod network.
func (n Network) waitForCIDR(ctx context.Context, client kubernetes.Interface) (string, error) {
	cidr := ""
	err := wait.PollUntilContextCancel(ctx, 250*time.Millisecond, true, func(ctx context.Context) (bool, error) {
		node, err := client.CoreV1().Nodes().Get(ctx, n.Name, metav1.GetOptions{})
		if err == nil {
			cidr = node.Spec.PodCIDR
		}
		return cidr != "", nil
	})
	return cidr, err
}

// conf is flannel's own configuration.
func (n Network) conf() map[string]any {
	return map[string]any{"Network": n.ClusterCIDR.String(), "EnableIPv6": false, "EnableIPv4": true,
		"Backend": map[string]any{"Type": n.Backend}}
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
func addRules(ctx context.Context, config *subnet.Config, network backend.Network) error {
	rules := &iptables.IPTablesManager{}
	if err := rules.Init(ctx); err != nil {
		return err
	}
	none, none6 := ip.IP4Net{}, ip.IP6Net{}
	if err := rules.SetupAndEnsureMasqRules(ctx, config.Network, none, none, none6, none6, none6, network.Lease(), resync, false); err != nil {
		return err
	}
	rules.SetupAndEnsureForwardRules(ctx, config.Network, none6, resync)
	return nil
}
