package manifests

import (
	"context"
	"encoding/json"
	"errors"
	"log/slog"
	"os"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	applycorev1 "k8s.io/client-go/applyconfigurations/core/v1"
	"k8s.io/client-go/discovery/cached/memory"
	"k8s.io/client-go/dynamic"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/restmapper"
	"k8s.io/client-go/tools/clientcmd"
)

type runtimeObject = runtime.Object

const (
	interval = 15 * time.Second
	// soon is the pause after a scan with a failure: at a cluster's start, namespaces and new
	// kinds of objects take a moment to appear.
	soon         = time.Second
	fieldManager = "deploy@k3s"
	// records is the ConfigMap that remembers what was applied from which file.
	records = "standin-addons"
)

// reference names an object in the cluster.
type reference struct {
	schema.GroupVersionKind
	Namespace, Name string
}

// record is what was applied from one file.
type record struct {
	Checksum string      `json:"checksum"`
	Objects  []reference `json:"objects"`
}

// Applier brings the folder's manifests into the cluster.
type Applier struct {
	dir      string
	disabled []string
	client   kubernetes.Interface
	dynamic  dynamic.Interface
	mapper   *restmapper.DeferredDiscoveryRESTMapper
	known    map[string]record
}

// NewApplier connects with a kubeconfig. The API must be ready.
func NewApplier(kubeconfig, dir string, disabled []string) (*Applier, error) {
	config, err := clientcmd.BuildConfigFromFlags("", kubeconfig)
	if err != nil {
		return nil, err
	}
	config.QPS, config.Burst = 50, 100
	config.WarningHandlerWithContext = nil
	client, err := kubernetes.NewForConfig(config)
	if err != nil {
		return nil, err
	}
	objects, err := dynamic.NewForConfig(config)
	if err != nil {
		return nil, err
	}
	mapper := restmapper.NewDeferredDiscoveryRESTMapper(memory.NewMemCacheClient(client.Discovery()))
	return &Applier{dir: dir, disabled: disabled, client: client, dynamic: objects, mapper: mapper}, nil
}

// Run scans the folder every 15 seconds until the context ends.
func (a *Applier) Run(ctx context.Context) {
	for {
		pause := interval
		if err := a.sync(ctx); err != nil && ctx.Err() == nil {
			slog.Warn("applying manifests", "error", err)
			pause = soon
		}
		select {
		case <-ctx.Done():
			return
		case <-time.After(pause):
		}
	}
}

func (a *Applier) sync(ctx context.Context) error {
	if err := a.loadRecords(ctx); err != nil {
		return err
	}
	paths, err := scan(a.dir)
	if err != nil {
		return err
	}
	var errs []error
	for _, path := range paths {
		f, err := read(path)
		switch {
		case err != nil:
		case off(a.dir, path, a.disabled):
			err = a.remove(ctx, f)
		case a.known[f.stem].Checksum != f.checksum:
			err = a.apply(ctx, f)
		}
		errs = append(errs, err)
	}
	return errors.Join(errs...)
}

// apply writes a file's objects, then deletes those that an earlier state of the file had.
func (a *Applier) apply(ctx context.Context, f file) error {
	now := record{Checksum: f.checksum}
	for _, object := range f.objects {
		resource, err := a.resource(object.GroupVersionKind(), object.GetNamespace())
		if err != nil {
			return err
		}
		data, err := json.Marshal(object)
		if err != nil {
			return err
		}
		force := true
		options := metav1.PatchOptions{FieldManager: fieldManager, Force: &force}
		if _, err := resource.Patch(ctx, object.GetName(), types.ApplyPatchType, data, options); err != nil {
			return err
		}
		now.Objects = append(now.Objects, reference{object.GroupVersionKind(), object.GetNamespace(), object.GetName()})
	}
	if err := a.deleteAll(ctx, missing(a.known[f.stem].Objects, now.Objects)); err != nil {
		return err
	}
	slog.Info("Applied manifest", "file", f.path, "objects", len(now.Objects))
	return a.remember(ctx, f.stem, now)
}

// remove deletes what a disabled file holds, and the file.
func (a *Applier) remove(ctx context.Context, f file) error {
	objects := a.known[f.stem].Objects
	for _, object := range f.objects {
		objects = append(objects, reference{object.GroupVersionKind(), object.GetNamespace(), object.GetName()})
	}
	if err := a.deleteAll(ctx, objects); err != nil {
		return err
	}
	slog.Info("Removed disabled manifest", "file", f.path)
	if err := a.remember(ctx, f.stem, record{}); err != nil {
		return err
	}
	return os.Remove(f.path)
}

func missing(before, now []reference) []reference {
	kept := map[reference]bool{}
	for _, r := range now {
		kept[r] = true
	}
	var gone []reference
	for _, r := range before {
		if !kept[r] {
			gone = append(gone, r)
		}
	}
	return gone
}

func (a *Applier) deleteAll(ctx context.Context, objects []reference) error {
	background := metav1.DeletePropagationBackground
	for _, r := range objects {
		resource, err := a.resource(r.GroupVersionKind, r.Namespace)
		if meta.IsNoMatchError(err) {
			continue // its kind is gone, so it is too
		}
		if err != nil {
			return err
		}
		err = resource.Delete(ctx, r.Name, metav1.DeleteOptions{PropagationPolicy: &background})
		if err != nil && !apierrors.IsNotFound(err) {
			return err
		}
	}
	return nil
}

func (a *Applier) resource(kind schema.GroupVersionKind, namespace string) (dynamic.ResourceInterface, error) {
	mapping, err := a.mapper.RESTMapping(kind.GroupKind(), kind.Version)
	if err != nil {
		a.mapper.Reset() // the kind may have been defined a moment ago
		return nil, err
	}
	resource := a.dynamic.Resource(mapping.Resource)
	if mapping.Scope.Name() != meta.RESTScopeNameNamespace {
		return resource, nil
	}
	if namespace == "" {
		namespace = metav1.NamespaceDefault
	}
	return resource.Namespace(namespace), nil
}

func (a *Applier) loadRecords(ctx context.Context) error {
	if a.known != nil {
		return nil
	}
	known := map[string]record{}
	object, err := a.client.CoreV1().ConfigMaps("kube-system").Get(ctx, records, metav1.GetOptions{})
	if err != nil && !apierrors.IsNotFound(err) {
		return err
	}
	for name, text := range object.Data {
		var r record
		if json.Unmarshal([]byte(text), &r) == nil {
			known[name] = r
		}
	}
	a.known = known
	return nil
}

func (a *Applier) remember(ctx context.Context, name string, r record) error {
	a.known[name] = r
	if len(r.Objects) == 0 {
		delete(a.known, name)
	}
	data := map[string]string{}
	for name, r := range a.known {
		text, err := json.Marshal(r)
		if err != nil {
			return err
		}
		data[name] = string(text)
	}
	object := applycorev1.ConfigMap(records, "kube-system").WithData(data)
	_, err := a.client.CoreV1().ConfigMaps("kube-system").Apply(ctx, object, metav1.ApplyOptions{FieldManager: fieldManager, Force: true})
	return err
}
