package netpol

import (
	"context"
	"fmt"
	"log/slog"
	"reflect"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/client-go/informers"
	"k8s.io/client-go/tools/cache"
	"sigs.k8s.io/knftables"
)

const (
	// gather is how long changes are collected: a Deployment that rolls out changes many pods.
	gather = 50 * time.Millisecond
	// again is how often the rules are written even though nothing changed, as k3s does.
	again = 5 * time.Minute
)

// Run keeps the node's rules in step with the cluster until the context ends. The rules stay
// when it ends: pods outlive this process, and so must what guards them.
func Run(ctx context.Context, factory informers.SharedInformerFactory, node string) error {
	nft, err := knftables.New(knftables.IPv4Family, Table)
	if err != nil {
		return fmt.Errorf("nftables: %w", err)
	}
	changed := make(chan struct{}, 1)
	if err := watch(factory, changed); err != nil {
		return err
	}
	factory.Start(ctx.Done())
	factory.WaitForCacheSync(ctx.Done())
	var applied *Ruleset
	resync := time.NewTicker(again)
	defer resync.Stop()
	for ctx.Err() == nil {
		rules := Compile(current(factory, node))
		if applied == nil || !reflect.DeepEqual(*applied, rules) {
			if err := apply(ctx, nft, rules); err != nil {
				slog.Error("network policies", "error", err)
				applied = nil
				time.AfterFunc(time.Second, func() { poke(changed) })
			} else {
				applied = &rules
			}
		}
		select {
		case <-ctx.Done():
			return nil
		case <-resync.C:
			applied = nil
		case <-changed:
			time.Sleep(gather)
			drain(changed)
		}
	}
	return nil
}

// Remove takes the rules away, for a server that is configured not to enforce policies.
func Remove(ctx context.Context) error {
	nft, err := knftables.New(knftables.IPv4Family, Table)
	if err != nil {
		return fmt.Errorf("nftables: %w", err)
	}
	tx := nft.NewTransaction()
	tx.Add(&knftables.Table{})
	tx.Delete(&knftables.Table{})
	return nft.Run(ctx, tx)
}

func watch(factory informers.SharedInformerFactory, changed chan struct{}) error {
	handler := cache.ResourceEventHandlerFuncs{
		AddFunc: func(any) { poke(changed) }, DeleteFunc: func(any) { poke(changed) },
		UpdateFunc: func(_, _ any) { poke(changed) },
	}
	for _, informer := range []cache.SharedIndexInformer{
		factory.Core().V1().Pods().Informer(), factory.Core().V1().Namespaces().Informer(),
		factory.Networking().V1().NetworkPolicies().Informer(),
	} {
		if _, err := informer.AddEventHandler(handler); err != nil {
			return err
		}
	}
	return nil
}

func poke(changed chan struct{}) {
	select {
	case changed <- struct{}{}:
	default:
	}
}

func drain(changed chan struct{}) {
	select {
	case <-changed:
	default:
	}
}

// current reads the informers' caches. Listing from a cache cannot fail.
func current(factory informers.SharedInformerFactory, node string) State {
	pods, _ := factory.Core().V1().Pods().Lister().List(labels.Everything())
	policies, _ := factory.Networking().V1().NetworkPolicies().Lister().List(labels.Everything())
	namespaces, _ := factory.Core().V1().Namespaces().Lister().List(labels.Everything())
	byName := map[string]*corev1.Namespace{}
	for _, namespace := range namespaces {
		byName[namespace.Name] = namespace
	}
	return State{Node: node, Pods: pods, Policies: policies, Namespaces: byName}
}
