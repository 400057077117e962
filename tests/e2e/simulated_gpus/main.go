// Simulated GPUs for tests: speaks the kubelet's device plugin API and offers resources of NVIDIA's names for cards
// that are not there. It stands in for NVIDIA's device plugin, feature discovery and MIG manager at once: it goes by
// the same node labels and configurations, and sets the labels that they would. Everything it offers is marked with
// `aiplat.dev/simulated-gpu`.
package main

import (
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"log"
	"os"
	"os/exec"
	"reflect"
	"sort"
	"strings"
	"time"

	api "k8s.io/kubelet/pkg/apis/deviceplugin/v1beta1"
)

const (
	simulated   = "aiplat.dev/simulated-gpu"
	pluginLabel = "nvidia.com/device-plugin.config"
	migLabel    = "nvidia.com/mig.config"
	gpu         = "nvidia.com/gpu"
	pause       = time.Second
)

// Configurations are what ConfigMaps of the GPU operator hold, by the names that nodes are labelled with.
type Configurations struct {
	Plugin map[string]PluginConfig     `json:"plugin"`
	Mig    map[string][]map[string]any `json:"mig"`
}

// PluginConfig is the part of a configuration of NVIDIA's device plugin that says how cards are shared.
type PluginConfig struct {
	Sharing struct {
		TimeSlicing *Shared `json:"timeSlicing"`
		Mps         *Shared `json:"mps"`
	} `json:"sharing"`
}

// Shared says how many replicas each card has.
type Shared struct {
	FailRequestsGreaterThanOne bool `json:"failRequestsGreaterThanOne"`
	Resources                  []struct {
		Name     string `json:"name"`
		Replicas int    `json:"replicas"`
	} `json:"resources"`
}

// Offer is what the node is to offer: devices by resource, whether a pod gets one at most, labels of its own.
type Offer struct {
	Devices map[string][]string
	One     bool
	Labels  map[string]string
}

func main() {
	node := flag.String("node", "", "name of the node")
	cards := flag.Int("cards", 1, "cards to make up")
	product := flag.String("product", "", "their name, as feature discovery writes it")
	memory := flag.Int("memory", 0, "their memory in MiB")
	file := flag.String("configs", "", "file with configurations, read again whenever it is needed")
	flag.Parse()
	log.Printf("%d cards %s are made up for %s", *cards, *product, *node)
	sockets, before := newSockets(), Offer{}
	for ; ; time.Sleep(pause) {
		labels, err := labelsOf(*node)
		if err != nil {
			log.Printf("the node cannot be asked: %v", err)
			continue
		}
		offer, err := wanted(labels, *file, *cards, *product, *memory)
		if err != nil {
			log.Printf("nothing is changed: %v", err)
			continue
		}
		if err := sockets.offer(offer.Devices, offer.One); err != nil {
			log.Printf("the kubelet cannot be told: %v", err)
			continue
		}
		if !reflect.DeepEqual(before, offer) {
			log.Printf("offers %v", offer.Devices)
		}
		if err := label(*node, labels, offer.Labels); err != nil {
			log.Printf("the node cannot be labelled: %v", err)
			continue
		}
		before = offer
	}
}

// wanted returns what the node offers by its labels.
func wanted(labels map[string]string, file string, cards int, product string, memory int) (Offer, error) {
	configs, err := read(file)
	if err != nil {
		return Offer{}, err
	}
	name := labels[pluginLabel]
	config, known := configs.Plugin[name]
	if name != "" && !known {
		return Offer{}, fmt.Errorf("there is no configuration %q", name)
	}
	offer := Offer{Devices: map[string][]string{}, Labels: facts(cards, product, memory)}
	layout, err := layoutOf(configs, labels[migLabel])
	switch {
	case err != nil:
		return Offer{}, err
	case len(layout) > 0:
		parted(&offer, cards, layout)
	default:
		shared(&offer, cards, config)
	}
	if labels[migLabel] != "" {
		offer.Labels[migLabel+".state"] = "success"
	}
	return offer, nil
}

func facts(cards int, product string, memory int) map[string]string {
	return map[string]string{
		simulated:                         "true",
		"nvidia.com/gpu.present":          "true",
		"nvidia.com/gpu.count":            fmt.Sprint(cards),
		"nvidia.com/gpu.product":          product,
		"nvidia.com/gpu.memory":           fmt.Sprint(memory),
		"nvidia.com/gpu.replicas":         "1",
		"nvidia.com/gpu.sharing-strategy": "none",
		"nvidia.com/mig.strategy":         "mixed",
	}
}

// layoutOf returns the MIG instances of each card by profile.
func layoutOf(configs Configurations, name string) (map[string]int, error) {
	parts, known := configs.Mig[name]
	if name == "" || name == "all-disabled" {
		return nil, nil
	}
	if !known {
		return nil, fmt.Errorf("there is no MIG layout %q", name)
	}
	layout := map[string]int{}
	for _, part := range parts {
		devices, _ := part["mig-devices"].(map[string]any)
		for profile, number := range devices {
			layout[profile] += int(number.(float64))
		}
	}
	return layout, nil
}

func parted(offer *Offer, cards int, layout map[string]int) {
	offer.Devices[gpu] = nil
	for profile, number := range layout {
		resource := "nvidia.com/mig-" + profile
		for card := range cards {
			for instance := range number {
				offer.Devices[resource] = append(offer.Devices[resource], fmt.Sprintf("MIG-simulated-%d-%s-%d", card, profile, instance))
			}
		}
		offer.Labels[resource+".count"] = fmt.Sprint(number * cards)
		var slices, gigabytes int
		if _, err := fmt.Sscanf(profile, "%dg.%dgb", &slices, &gigabytes); err == nil {
			offer.Labels[resource+".memory"] = fmt.Sprint(gigabytes * 1024)
		}
	}
}

func shared(offer *Offer, cards int, config PluginConfig) {
	way, strategy := config.Sharing.TimeSlicing, "time-slicing"
	if way == nil {
		way, strategy = config.Sharing.Mps, "mps"
	}
	for card := range cards {
		id := fmt.Sprintf("GPU-simulated-%d", card)
		if way == nil {
			offer.Devices[gpu] = append(offer.Devices[gpu], id)
			continue
		}
		for replica := range way.Resources[0].Replicas {
			offer.Devices[gpu] = append(offer.Devices[gpu], fmt.Sprintf("%s::%d", id, replica))
		}
	}
	if way != nil {
		offer.One = way.FailRequestsGreaterThanOne || strategy == "mps"
		offer.Labels["nvidia.com/gpu.replicas"] = fmt.Sprint(way.Resources[0].Replicas)
		offer.Labels["nvidia.com/gpu.sharing-strategy"] = strategy
		offer.Labels["nvidia.com/gpu.product"] += "-SHARED"
	}
}

func read(file string) (Configurations, error) {
	var found Configurations
	content, err := os.ReadFile(file)
	if err == nil {
		err = json.Unmarshal(content, &found)
	}
	return found, err
}

func kubectl(words ...string) ([]byte, error) {
	command := exec.Command("/usr/local/bin/k3s", append([]string{"kubectl", "--kubeconfig=/etc/rancher/k3s/k3s.yaml"}, words...)...)
	output, err := command.Output()
	if exit, ok := err.(*exec.ExitError); ok {
		err = fmt.Errorf("%s", strings.TrimSpace(string(exit.Stderr)))
	}
	return output, err
}

func labelsOf(node string) (map[string]string, error) {
	var found struct {
		Metadata struct {
			Labels map[string]string `json:"labels"`
		} `json:"metadata"`
	}
	output, err := kubectl("get", "node", node, "-o", "json")
	if err == nil {
		err = json.Unmarshal(output, &found)
	}
	return found.Metadata.Labels, err
}

// label sets the labels that feature discovery would, and takes away what it set before.
func label(node string, has, wanted map[string]string) error {
	var words []string
	for name, value := range wanted {
		if has[name] != value {
			words = append(words, name+"="+value)
		}
	}
	for name := range has {
		if _, stays := wanted[name]; !stays && strings.HasPrefix(name, "nvidia.com/mig-") {
			words = append(words, name+"-")
		}
	}
	if len(words) == 0 {
		return nil
	}
	sort.Strings(words)
	if _, err := kubectl("annotate", "node", node, "--overwrite", simulated+"=a device plugin of tests made them up"); err != nil {
		return err
	}
	_, err := kubectl(append([]string{"label", "node", node, "--overwrite"}, words...)...)
	return err
}

var _ api.DevicePluginServer = (*server)(nil)

func (s *server) GetDevicePluginOptions(context.Context, *api.Empty) (*api.DevicePluginOptions, error) {
	return &api.DevicePluginOptions{}, nil
}

func (s *server) PreStartContainer(context.Context, *api.PreStartContainerRequest) (*api.PreStartContainerResponse, error) {
	return &api.PreStartContainerResponse{}, nil
}

func (s *server) GetPreferredAllocation(context.Context, *api.PreferredAllocationRequest) (*api.PreferredAllocationResponse, error) {
	return &api.PreferredAllocationResponse{}, nil
}
