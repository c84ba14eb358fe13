"""How an application moves from one version to the next: pure functions from (state, observed, now) to the next state and
actions. `heliostat.controller` observes, records and acts; nothing here has an effect.

An application has two colours, each a Serve application of its own. The state says what each colour shall be; the actions
are the difference between that and what is observed, worked out anew at every look. So nothing depends on what was done
before: whoever is killed between two actions sees the rest of them at the next look.
"""
