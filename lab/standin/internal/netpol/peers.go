package netpol

import (
	"fmt"
	"net/netip"
	"strings"

	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
)

// peers returns one match for each kind of other side; an empty match lets everybody through.
// All peers that are pods share one set.
func (out *Ruleset) peers(s State, policy *networkingv1.NetworkPolicy, d direction, id string, peers []networkingv1.NetworkPolicyPeer) []string {
	if len(peers) == 0 {
		return []string{""}
	}
	var matches []string
	var pods []networkingv1.NetworkPolicyPeer
	for _, peer := range peers {
		if peer.IPBlock == nil {
			pods = append(pods, peer)
		} else if match := block(d, peer.IPBlock); match != "" {
			matches = append(matches, match)
		}
	}
	if len(pods) == 0 {
		return matches
	}
	set := []string{}
	for _, pod := range s.Pods {
		if address(pod) != "" && anyPeer(s, policy.Namespace, pods, pod) {
			set = append(set, address(pod))
		}
	}
	name := "pods-" + id
	out.Addrs[name] = sorted(set)
	return append(matches, fmt.Sprintf("%s @%s", d.peerField, name))
}

func block(d direction, b *networkingv1.IPBlock) string {
	network, err := netip.ParsePrefix(b.CIDR)
	if err != nil || !network.Addr().Is4() {
		return "" // the pod network has no IPv6, so such a peer matches nobody
	}
	match := fmt.Sprintf("%s %s", d.peerField, network.Masked())
	var except []string
	for _, text := range b.Except {
		if part, err := netip.ParsePrefix(text); err == nil && part.Addr().Is4() {
			except = append(except, part.Masked().String())
		}
	}
	for _, part := range sorted(except) {
		match += fmt.Sprintf(" %s != %s", d.peerField, part)
	}
	return strings.ReplaceAll(match, d.peerField+" 0.0.0.0/0", "meta nfproto ipv4")
}

// anyPeer says whether a pod is one of the peers, seen from a policy's namespace.
func anyPeer(s State, namespace string, peers []networkingv1.NetworkPolicyPeer, pod *corev1.Pod) bool {
	for _, peer := range peers {
		switch {
		case peer.IPBlock != nil:
			network, err := netip.ParsePrefix(peer.IPBlock.CIDR)
			ip, ipErr := netip.ParseAddr(address(pod))
			if err == nil && ipErr == nil && network.Contains(ip) {
				return true // exceptions are matched beside the port
			}
		case peer.NamespaceSelector == nil:
			if pod.Namespace == namespace && selects(peer.PodSelector, pod.Labels) {
				return true
			}
		default:
			space := s.Namespaces[pod.Namespace]
			if space != nil && selects(peer.NamespaceSelector, space.Labels) &&
				(peer.PodSelector == nil || selects(peer.PodSelector, pod.Labels)) {
				return true
			}
		}
	}
	return false
}

// selects says whether a selector matches labels; a missing one matches nothing here, an empty
// one everything.
func selects(selector *metav1.LabelSelector, set map[string]string) bool {
	parsed, err := metav1.LabelSelectorAsSelector(selector)
	return err == nil && parsed.Matches(labels.Set(set))
}
