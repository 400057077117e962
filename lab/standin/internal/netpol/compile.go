package netpol

import (
	"cmp"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"net/netip"
	"slices"
	"sort"
	"strings"

	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	"k8s.io/apimachinery/pkg/util/intstr"
)

// Compile turns policies into the rules of one node.
func Compile(s State) Ruleset {
	out := Ruleset{Ingress: map[string]string{}, Egress: map[string]string{}, Chains: map[string][]string{},
		Addrs: map[string][]string{}, Ports: map[string][]string{}}
	// The caches list in no order; the same objects must give the same rules.
	s.Policies = slices.SortedFunc(slices.Values(s.Policies), func(a, b *networkingv1.NetworkPolicy) int {
		return cmp.Or(cmp.Compare(a.Namespace, b.Namespace), cmp.Compare(a.Name, b.Name))
	})
	for _, pod := range s.Pods {
		if pod.Spec.NodeName != s.Node || address(pod) == "" {
			continue
		}
		if chain := out.judge(s, pod, ingress); chain != "" {
			out.Ingress[address(pod)] = chain
		}
		if chain := out.judge(s, pod, egress); chain != "" {
			out.Egress[address(pod)] = chain
		}
	}
	return out
}

// address is the pod's own IPv4 address. A pod in the host's network has none of its own, and
// one that has ended gives its address back.
func address(pod *corev1.Pod) string {
	if pod.Spec.HostNetwork || pod.Status.Phase == corev1.PodSucceeded || pod.Status.Phase == corev1.PodFailed {
		return ""
	}
	if ip, err := netip.ParseAddr(pod.Status.PodIP); err != nil || !ip.Is4() {
		return ""
	}
	return pod.Status.PodIP
}

// judge returns the chain for a pod, or nothing when no policy isolates it. Pods under the same
// policies share a chain.
func (out *Ruleset) judge(s State, pod *corev1.Pod, d direction) string {
	var names []string
	var selected []*networkingv1.NetworkPolicy
	for _, policy := range s.Policies {
		if policy.Namespace == pod.Namespace && d.applies(policy) && selects(&policy.Spec.PodSelector, pod.Labels) {
			selected = append(selected, policy)
			names = append(names, policy.Namespace+"/"+policy.Name)
		}
	}
	if len(selected) == 0 {
		return ""
	}
	chain := d.prefix + "-" + short(strings.Join(names, " "))
	if _, done := out.Chains[chain]; done {
		return chain
	}
	rules := []string{}
	for _, policy := range selected {
		for i, r := range d.rules(policy) {
			rules = append(rules, out.lines(s, policy, d, i, r)...)
		}
	}
	out.Chains[chain] = rules
	return chain
}

// lines writes one policy rule: every combination of who and which port that it lets through.
func (out *Ruleset) lines(s State, policy *networkingv1.NetworkPolicy, d direction, index int, r rule) []string {
	id := short(fmt.Sprintf("%s/%s/%s/%d", policy.Namespace, policy.Name, d.prefix, index))
	who := out.peers(s, policy, d, id, r.peers)
	which := out.ports(s, policy, d, id, r)
	var lines []string
	for _, peer := range who {
		for _, port := range which {
			lines = append(lines, strings.TrimSpace(strings.Join(append(nonEmpty(peer, port), "return"), " ")))
		}
	}
	return lines
}

func nonEmpty(parts ...string) []string {
	var out []string
	for _, p := range parts {
		if p != "" {
			out = append(out, p)
		}
	}
	return out
}

// ports returns one match for each port; an empty match lets all through.
func (out *Ruleset) ports(s State, policy *networkingv1.NetworkPolicy, d direction, id string, r rule) []string {
	if len(r.ports) == 0 {
		return []string{""}
	}
	var matches []string
	for i, port := range r.ports {
		protocol := "tcp"
		if port.Protocol != nil {
			protocol = strings.ToLower(string(*port.Protocol))
		}
		switch {
		case port.Port == nil:
			matches = append(matches, "meta l4proto "+protocol)
		case port.Port.Type == intstr.Int && port.EndPort != nil:
			matches = append(matches, fmt.Sprintf("%s dport %d-%d", protocol, port.Port.IntVal, *port.EndPort))
		case port.Port.Type == intstr.Int:
			matches = append(matches, fmt.Sprintf("%s dport %d", protocol, port.Port.IntVal))
		default:
			name := fmt.Sprintf("port-%s-%d", id, i)
			out.Ports[name] = namedPorts(targets(s, policy, d, r), port.Port.StrVal, protocol)
			matches = append(matches, fmt.Sprintf("ip daddr . %s dport @%s", protocol, name))
		}
	}
	return matches
}

// targets are the pods whose containers may define a port's name: the receiving side.
func targets(s State, policy *networkingv1.NetworkPolicy, d direction, r rule) []*corev1.Pod {
	var pods []*corev1.Pod
	for _, pod := range s.Pods {
		if address(pod) == "" {
			continue
		}
		receiving := policy.Namespace == pod.Namespace && selects(&policy.Spec.PodSelector, pod.Labels)
		if d.policyType == networkingv1.PolicyTypeEgress {
			receiving = len(r.peers) == 0 || anyPeer(s, policy.Namespace, r.peers, pod)
		}
		if receiving {
			pods = append(pods, pod)
		}
	}
	return pods
}

func namedPorts(pods []*corev1.Pod, name, protocol string) []string {
	var out []string
	for _, pod := range pods {
		for _, container := range append(append([]corev1.Container{}, pod.Spec.InitContainers...), pod.Spec.Containers...) {
			for _, port := range container.Ports {
				own := strings.ToLower(string(port.Protocol))
				if own == "" {
					own = "tcp"
				}
				if port.Name == name && own == protocol {
					out = append(out, fmt.Sprintf("%s . %d", address(pod), port.ContainerPort))
				}
			}
		}
	}
	return sorted(out)
}

func sorted(items []string) []string {
	sort.Strings(items)
	out := items[:0]
	for i, item := range items {
		if i == 0 || item != items[i-1] {
			out = append(out, item)
		}
	}
	return out
}

// short makes a name for nftables, which allows few characters, that stays the same while its
// parts do.
func short(text string) string {
	sum := sha256.Sum256([]byte(text))
	return hex.EncodeToString(sum[:6])
}
