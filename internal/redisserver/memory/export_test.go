package memory

import "time"

// StartPatient is Start for clients that may take that long to give the password.
func StartPatient(addr, password string, patience time.Duration) (*Server, error) {
	return start(addr, password, nil, patience)
}
