"""What ``maskline doctor`` looks at: each probe tries the thing itself, and says what to do where it fails."""
