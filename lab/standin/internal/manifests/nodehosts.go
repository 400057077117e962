package manifests

import (
	"context"
	"fmt"
	"log/slog"
	"sort"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	applycorev1 "k8s.io/client-go/applyconfigurations/core/v1"
	"k8s.io/client-go/informers"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/tools/cache"
)

// KeepNodeHosts keeps the names and addresses of all nodes in CoreDNS' ConfigMap, so that pods
// find nodes by name. CoreDNS mounts the key and does not start without it.
func KeepNodeHosts(ctx context.Context, client kubernetes.Interface, factory informers.SharedInformerFactory) error {
	informer := factory.Core().V1().Nodes().Informer()
	changed := make(chan struct{}, 1)
	poke := func(any) {
		select {
		case changed <- struct{}{}:
		default:
		}
	}
	_, err := informer.AddEventHandler(cache.ResourceEventHandlerFuncs{AddFunc: poke, DeleteFunc: poke, UpdateFunc: func(_, o any) { poke(o) }})
	if err != nil {
		return err
	}
	go func() {
		written := ""
		for {
			select {
			case <-ctx.Done():
				return
			case <-changed:
			}
			text := nodeHosts(informer.GetStore().List())
			if text == written {
				continue
			}
			object := applycorev1.ConfigMap("coredns", "kube-system").WithData(map[string]string{"NodeHosts": text})
			_, err := client.CoreV1().ConfigMaps("kube-system").Apply(ctx, object, metav1.ApplyOptions{FieldManager: "k3s-nodehosts", Force: true})
			if err != nil {
				slog.Warn("writing node names for CoreDNS", "error", err)
				time.AfterFunc(time.Second, func() { poke(nil) })
				continue
			}
			written = text
		}
	}()
	return nil
}

func nodeHosts(items []any) string {
	var lines []string
	for _, item := range items {
		node, ok := item.(*corev1.Node)
		if !ok {
			continue
		}
		for _, address := range node.Status.Addresses {
			if address.Type == corev1.NodeInternalIP {
				lines = append(lines, fmt.Sprintf("%s %s\n", address.Address, node.Name))
			}
		}
	}
	sort.Strings(lines)
	return strings.Join(lines, "")
}
