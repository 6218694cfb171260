"""Looking at everything and changing nothing: plan, explain, check, verify."""
