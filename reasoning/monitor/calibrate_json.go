package monitor

import (
	"bytes"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math"
	"os"
	"strings"
)

// maxCalibrationFile bounds a file, in bytes.
const maxCalibrationFile = 1 << 20

// ParseCalibration reads a calibration from JSON, as json.Marshal writes it. Fields that are not known are errors.
func ParseCalibration(data []byte) (Calibration, error) {
	var c Calibration
	if len(data) > maxCalibrationFile {
		return c, fmt.Errorf("the calibration has %d bytes, more than the %d that one may have", len(data), maxCalibrationFile)
	}
	d := json.NewDecoder(bytes.NewReader(data))
	d.DisallowUnknownFields()
	if err := d.Decode(&c); err != nil {
		return Calibration{}, fmt.Errorf("not a calibration: %w", err)
	}
	if _, err := d.Token(); !errors.Is(err, io.EOF) {
		return Calibration{}, errors.New("not a calibration: something stands behind it")
	}
	if err := c.Validate(); err != nil {
		return Calibration{}, fmt.Errorf("not a calibration: %w", err)
	}
	return c, nil
}

// ReadCalibration reads a file with one.
func ReadCalibration(file string) (Calibration, error) {
	f, err := os.Open(file)
	if err != nil {
		return Calibration{}, fmt.Errorf("reading a calibration: %w", err)
	}
	defer f.Close()
	data, err := io.ReadAll(io.LimitReader(f, maxCalibrationFile+1))
	if err != nil {
		return Calibration{}, fmt.Errorf("reading a calibration: %w", err)
	}
	c, err := ParseCalibration(data)
	if err != nil {
		return c, fmt.Errorf("%s: %w", file, err)
	}
	return c, nil
}

// Validate returns an error that names the field and what is allowed.
func (c Calibration) Validate() error {
	_, err := hex.DecodeString(c.Data)
	switch {
	case c.Monitor == "":
		return errors.New("monitor: it names none")
	case c.Sees != seesPrivate && c.Sees != seesShown && c.Sees != seesOutput:
		return fmt.Errorf("sees is %q, must be %s, %s or %s", c.Sees, seesPrivate, seesShown, seesOutput)
	case !(c.FPR > 0 && c.FPR < 1):
		return fmt.Errorf("fpr is %g, must be above 0 and below 1", c.FPR)
	case !share(c.Threshold):
		return fmt.Errorf("threshold is %g, must be between 0 and 1", c.Threshold)
	case c.Good < needed(c.FPR) || c.Bad < 0 || c.Failed < 0 || c.Failed > c.Good+c.Bad:
		return fmt.Errorf("good, bad and failed are %d, %d and %d: there must be %d good samples or more, and no more failed than there are", c.Good, c.Bad, c.Failed, needed(c.FPR))
	case c.FalsePositives.N != c.Good || c.TruePositives.N != c.Bad:
		return fmt.Errorf("the rates are of %d good and %d bad samples, and there are %d and %d", c.FalsePositives.N, c.TruePositives.N, c.Good, c.Bad)
	case err != nil || len(c.Data) != 64:
		return fmt.Errorf("data is %q, must be a SHA-256 of 64 hexadecimal digits", excerpt(c.Data))
	}
	rates := map[string]Rate{"false_positives": c.FalsePositives, "true_positives": c.TruePositives, "auroc": c.AUROC}
	for kind, r := range c.Kinds {
		rates["kind "+kind] = r
	}
	if h := c.HeldOut; h != nil {
		rates["held_out.false_positives"], rates["held_out.true_positives"] = h.FalsePositives, h.TruePositives
		if !share(h.Threshold) {
			return fmt.Errorf("held_out.threshold is %g, must be between 0 and 1", h.Threshold)
		}
	}
	for name, r := range rates {
		if !(share(r.Value) && share(r.Lo) && share(r.Hi) && r.Lo <= r.Value && r.Value <= r.Hi && r.N >= 0) {
			return fmt.Errorf("%s is %g [%g, %g] of %d: must be shares in order", name, r.Value, r.Lo, r.Hi, r.N)
		}
	}
	return nil
}

func share(x float64) bool { return x >= 0 && x <= 1 }

// About says in a sentence where the threshold comes from, such as "5% of 400 good chains reach it; 83% [78, 87] of 240 bad ones
// do".
func (c Calibration) About() string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s%% of %d good %s reach it", percent(c.FalsePositives.Value), c.Good, c.things())
	if c.Bad > 0 {
		t := c.TruePositives
		fmt.Fprintf(&b, "; %s%% [%s, %s] of %d bad ones do", percent(t.Value), percent(t.Lo), percent(t.Hi), c.Bad)
	}
	if c.Failed > 0 {
		fmt.Fprintf(&b, "; %d could not be judged and count as reaching it", c.Failed)
	}
	return b.String()
}

// things is what the monitor judges.
func (c Calibration) things() string {
	if c.Sees == seesOutput {
		return "outputs"
	}
	return "chains"
}

// percent writes a share without decimals, but as "<1" or ">99" where that would be all or nothing and is not.
func percent(x float64) string {
	switch n := math.Round(100 * x); {
	case n == 0 && x > 0:
		return "<1"
	case n == 100 && x < 1:
		return ">99"
	default:
		return fmt.Sprintf("%.0f", n)
	}
}
