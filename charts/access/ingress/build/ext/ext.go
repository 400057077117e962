// Package ext stands for a module inside of Traefik's that is not published: settings of an extension.
package ext

// HTTP has no settings.
type HTTP struct{}

// DeepCopyInto copies nothing.
func (in *HTTP) DeepCopyInto(_ *HTTP) {}

// Router has no settings.
type Router struct{}

// DeepCopyInto copies nothing.
func (in *Router) DeepCopyInto(_ *Router) {}
