package train

import "fmt"

// AtLeast returns an error that names the field unless value is at least low.
func AtLeast(field string, value, low int) error {
	if value < low {
		return fmt.Errorf("%s is %d, must be at least %d", field, value, low)
	}
	return nil
}

// Within returns an error that names the field unless low <= value <= high.
func Within(field string, value, low, high float64) error {
	if !(value >= low && value <= high) {
		return fmt.Errorf("%s is %g, must be between %g and %g", field, value, low, high)
	}
	return nil
}

// Above returns an error that names the field unless low < value <= high.
func Above(field string, value, low, high float64) error {
	if !(value > low && value <= high) {
		return fmt.Errorf("%s is %g, must be above %g and at most %g", field, value, low, high)
	}
	return nil
}

// InField wraps an error about a nested field.
func InField(field string, err error) error {
	if err != nil {
		return fmt.Errorf("%s: %w", field, err)
	}
	return nil
}
