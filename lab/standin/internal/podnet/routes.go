package podnet

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/netip"
	"sync"
	"time"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/client-go/informers"
	"k8s.io/client-go/tools/cache"
)

// routeProtocol marks our routes in the kernel's table, so that only those are ever removed.
const routeProtocol = 0x6b

// lastResort is the metric of the route that ends packets to pods that are nowhere.
const lastResort = 4096

// Run keeps this node's CNI configuration and routes as the cluster's Node objects want them.
// ready is called once this node's pods can have a network.
func (n Network) Run(ctx context.Context, factory informers.SharedInformerFactory, ready func()) error {
	if err := n.fence(ctx); err != nil {
		return err
	}
	if err := n.dropStrays(); err != nil {
		return fmt.Errorf("route for pods that are nowhere: %w", err)
	}
	nodes := factory.Core().V1().Nodes()
	changed := make(chan struct{}, 1)
	poke := func(any) {
		select {
		case changed <- struct{}{}:
		default:
		}
	}
	_, err := nodes.Informer().AddEventHandler(cache.ResourceEventHandlerFuncs{
		AddFunc: poke, DeleteFunc: poke, UpdateFunc: func(_, o any) { poke(o) },
	})
	if err != nil {
		return err
	}
	factory.Start(ctx.Done())
	factory.WaitForCacheSync(ctx.Done())
	var once sync.Once
	// The kernel drops routes when a link goes down, and nobody tells us: look now and then.
	again := time.NewTicker(30 * time.Second)
	defer again.Stop()
	configured := ""
	for {
		items := cacheList(nodes.Informer().GetStore())
		if cidr := podCIDR(items[n.Name]); cidr != "" {
			if cidr != configured {
				if err := n.writeConf(cidr); err != nil {
					return err
				}
				configured = cidr
			}
			once.Do(ready)
		}
		if err := n.syncRoutes(items); err != nil {
			slog.Warn("routes to other nodes' pods", "error", err)
		}
		select {
		case <-ctx.Done():
			return nil
		case <-changed:
		case <-again.C:
		}
	}
}

func cacheList(store cache.Store) map[string]*corev1.Node {
	out := map[string]*corev1.Node{}
	for _, item := range store.List() {
		if node, ok := item.(*corev1.Node); ok {
			out[node.Name] = node
		}
	}
	return out
}

func podCIDR(node *corev1.Node) string {
	if node == nil {
		return ""
	}
	return node.Spec.PodCIDR
}

// wanted maps each other node's pod network to that node's address.
func (n Network) wanted(nodes map[string]*corev1.Node) map[netip.Prefix]netip.Addr {
	out := map[netip.Prefix]netip.Addr{}
	for name, node := range nodes {
		prefix, err := netip.ParsePrefix(podCIDR(node))
		if name == n.Name || err != nil {
			continue
		}
		for _, address := range node.Status.Addresses {
			if ip, err := netip.ParseAddr(address.Address); address.Type == corev1.NodeInternalIP && err == nil && ip.Is4() {
				out[prefix] = ip
				break
			}
		}
	}
	return out
}

func (n Network) syncRoutes(nodes map[string]*corev1.Node) error {
	wanted := n.wanted(nodes)
	present, err := netlink.RouteListFiltered(netlink.FAMILY_V4, &netlink.Route{Protocol: routeProtocol}, netlink.RT_FILTER_PROTOCOL)
	if err != nil {
		return err
	}
	var errs []error
	for _, route := range present {
		if route.Type == unix.RTN_UNREACHABLE {
			continue
		}
		prefix := prefixOf(route.Dst)
		if gateway, ok := wanted[prefix]; ok && route.Gw.Equal(net.IP(gateway.AsSlice())) {
			delete(wanted, prefix)
			continue
		} else if ok {
			continue // replaced below
		}
		if err := netlink.RouteDel(&route); err != nil && !errors.Is(err, unix.ESRCH) {
			errs = append(errs, err)
		}
	}
	for prefix, gateway := range wanted {
		route := &netlink.Route{
			Dst: &net.IPNet{IP: prefix.Addr().AsSlice(), Mask: net.CIDRMask(prefix.Bits(), 32)},
			Gw:  gateway.AsSlice(), Protocol: routeProtocol,
		}
		if err := netlink.RouteReplace(route); err != nil {
			errs = append(errs, fmt.Errorf("%s via %s: %w", prefix, gateway, err))
		}
	}
	return errors.Join(errs...)
}

func prefixOf(network *net.IPNet) netip.Prefix {
	if network == nil {
		return netip.Prefix{}
	}
	ip, _ := netip.AddrFromSlice(network.IP.To4())
	bits, _ := network.Mask.Size()
	return netip.PrefixFrom(ip, bits)
}

// dropStrays ends packets to pods that do not exist, such as a last probe of a deleted one. They
// would otherwise leave by the default route, since each pod has a route of its own here.
func (n Network) dropStrays() error {
	return netlink.RouteReplace(&netlink.Route{
		Dst:  &net.IPNet{IP: n.ClusterCIDR.Addr().AsSlice(), Mask: net.CIDRMask(n.ClusterCIDR.Bits(), 32)},
		Type: unix.RTN_UNREACHABLE, Protocol: routeProtocol, Priority: lastResort,
	})
}
