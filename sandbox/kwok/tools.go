//go:build tools

// Package tools pins kwok, which plays the kubelets; sandbox/setup builds these two programs.
package tools

import (
	_ "sigs.k8s.io/kwok/cmd/kwok"
	_ "sigs.k8s.io/kwok/cmd/kwokctl"
)
