"""Late parcels, from a file: rows are left out, times become features, a threshold is chosen."""

import numpy as np
import pandas as pd
from sklearn.ensemble import RandomForestClassifier
from sklearn.model_selection import train_test_split

parcels = pd.read_csv("parcels.csv", parse_dates=["sent"])
parcels = parcels.dropna(subset=["weight"])
parcels["hour"] = parcels["sent"].dt.hour
parcels = parcels[parcels["hour"] >= 6]
parcels["is_heavy"] = parcels["weight"] > 10
parcels["density"] = parcels.weight / parcels.volume.clip(lower=0.1)
parcels["carrier"] = parcels["carrier"].map({"red": 0, "green": 1, "blue": 2})

features = ["weight", "hour", "is_heavy", "density", "carrier"]
late = parcels["late"] == "yes"
X_train, X_test, y_train, y_test = train_test_split(parcels[features].to_numpy(dtype=float), late, random_state=2)
forest = RandomForestClassifier(n_estimators=15, random_state=2).fit(X_train, y_train)
flagged = (forest.predict_proba(X_test)[:, 1] > 0.3).astype(int)
print(flagged.mean(), np.mean(y_test))
