// Package netpol enforces NetworkPolicies on one node by kube-router's controller, which k3s carries
// too: chains and sets in iptables and ipset, written again some time after each change.
package netpol

import (
	"context"
	"fmt"
	"net/netip"
	"strings"
	"sync"
	"time"

	"github.com/cloudnativelabs/kube-router/v2/pkg/controllers/netpol"
	"github.com/cloudnativelabs/kube-router/v2/pkg/healthcheck"
	"github.com/cloudnativelabs/kube-router/v2/pkg/options"
	"github.com/cloudnativelabs/kube-router/v2/pkg/utils"
	"github.com/coreos/go-iptables/iptables"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/wait"
	"k8s.io/client-go/informers"
	"k8s.io/client-go/kubernetes"
)

// again is how often the rules are written even though nothing changed, as k3s does.
const again = 5 * time.Minute

// Node is what the controller has to know about where it runs.
type Node struct {
	Name         string
	ServiceCIDRs []netip.Prefix // one, or one of each family
	NodePorts    string         // as FIRST-LAST
}

func (n Node) options() *options.KubeRouterConfig {
	config := options.NewKubeRouterConfig()
	config.ClusterIPCIDRs = nil
	for _, network := range n.ServiceCIDRs {
		config.ClusterIPCIDRs = append(config.ClusterIPCIDRs, network.String())
	}
	config.EnableIPv4, config.EnableIPv6 = true, len(n.ServiceCIDRs) > 1
	config.NodePortRange = strings.ReplaceAll(n.NodePorts, "-", ":")
	config.HostnameOverride = n.Name
	config.MetricsEnabled = false
	config.IPTablesSyncPeriod = again
	return config
}

// Run keeps the node's rules in step with the cluster until the context ends. The rules stay
// when it ends: pods outlive this process, and so must what guards them.
func Run(ctx context.Context, client kubernetes.Interface, n Node) error {
	if err := n.waitForAddress(ctx, client); err != nil {
		return err
	}
	rules, sets, err := n.filters()
	if err != nil {
		return err
	}
	if table, both := rules[corev1.IPv6Protocol]; both {
		if err := letNeighboursAsk(table); err != nil {
			return err
		}
	}
	factory := informers.NewSharedInformerFactory(client, 0)
	pods, namespaces := factory.Core().V1().Pods().Informer(), factory.Core().V1().Namespaces().Informer()
	policies := factory.Networking().V1().NetworkPolicies().Informer()
	factory.Start(ctx.Done())
	factory.WaitForCacheSync(ctx.Done())
	controller, err := netpol.NewNetworkPolicyController(client, n.options(), pods, policies, namespaces, &sync.Mutex{},
		rules, sets)
	if err != nil {
		return err
	}
	for _, add := range []func() error{
		func() error { _, err := pods.AddEventHandler(controller.PodEventHandler); return err },
		func() error { _, err := namespaces.AddEventHandler(controller.NamespaceEventHandler); return err },
		func() error { _, err := policies.AddEventHandler(controller.NetworkPolicyEventHandler); return err },
	} {
		if err := add(); err != nil {
			return err
		}
	}
	var running sync.WaitGroup
	running.Add(1)
	controller.Run(unheard(ctx), ctx.Done(), &running)
	running.Wait()
	return nil
}

// filters are the programs that write rules and sets, for each family of the cluster.
func (n Node) filters() (map[corev1.IPFamily]utils.IPTablesHandler, map[corev1.IPFamily]utils.IPSetHandler, error) {
	rules, sets := map[corev1.IPFamily]utils.IPTablesHandler{}, map[corev1.IPFamily]utils.IPSetHandler{}
	for _, network := range n.ServiceCIDRs {
		family, protocol := corev1.IPv4Protocol, iptables.ProtocolIPv4
		if network.Addr().Is6() {
			family, protocol = corev1.IPv6Protocol, iptables.ProtocolIPv6
		}
		table, err := iptables.NewWithProtocol(protocol)
		if err != nil {
			return nil, nil, fmt.Errorf("iptables for %s: %w", family, err)
		}
		set, err := newSets(network.Addr().Is6())
		if err != nil {
			return nil, nil, fmt.Errorf("ipset for %s: %w", family, err)
		}
		rules[family], sets[family] = table, set
	}
	return rules, sets, nil
}

// waitForAddress waits until the Node object has the address that the rules let through.
func (n Node) waitForAddress(ctx context.Context, client kubernetes.Interface) error {
	return wait.PollUntilContextCancel(ctx, 500*time.Millisecond, true, func(ctx context.Context) (bool, error) {
		node, err := client.CoreV1().Nodes().Get(ctx, n.Name, metav1.GetOptions{})
		return err == nil && len(node.Status.Addresses) > 0, nil
	})
}

// unheard takes the heartbeats that the controller sends to kube-router's own health page.
func unheard(ctx context.Context) chan<- *healthcheck.ControllerHeartbeat {
	beats := make(chan *healthcheck.ControllerHeartbeat)
	go func() {
		for {
			select {
			case <-ctx.Done():
				return
			case <-beats:
			}
		}
	}()
	return beats
}
